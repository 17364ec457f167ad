#!/usr/bin/env bash
# freeonce.ko, and what other modules may call in it.
# Usage: instrument.sh KERNEL GUEST DEST SYMVERS
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
. "$here/kbuild.sh"
kernel=$(realpath "$1") guest=$2 dest=$(realpath -m -- "$3") symvers=$(realpath -m -- "$4")

scratch_beside "$dest"
mkdir "$scratch/guest"
cp -r -- "$guest/instrument" "$scratch/guest/"
build_module instrument
publish "$scratch/guest/instrument/Module.symvers" "$symvers"
publish "$scratch/guest/instrument/freeonce.ko" "$dest"
