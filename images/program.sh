#!/usr/bin/env bash
# A small C program of the guest's own. Usage: program.sh SOURCE DEST
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
source=$1 dest=$(realpath -m -- "$2")

scratch_beside "$dest"
gcc -std=gnu11 -O2 -Wall -Wextra -Werror -o "$scratch/program" "$source"
publish "$scratch/program" "$dest"
