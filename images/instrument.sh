#!/usr/bin/env bash
# freeonce.ko, what other modules may call in it, and which functions of the kernel it has wrappers for.
# Usage: instrument.sh KERNEL GUEST DEST SYMVERS FAMILIES [OWN [HOLE]]
#
# OWN: a project's freeonce.toml, whose `families` are functions more. HOLE: the records that it never
# writes (unsaid.sh).
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
. "$here/kbuild.sh"
kernel=$(realpath "$1") guest=$2 dest=$(realpath -m -- "$3") symvers=$(realpath -m -- "$4") families=$(realpath -m -- "$5")

own=()
[ -z "${6:-}" ] || own=("$(realpath "$6")")
scratch_beside "$dest"
mkdir "$scratch/guest"
cp -r -- "$guest/instrument" "$scratch/guest/"
table=$scratch/guest/instrument/families/families.toml
"$python" "$here/wrappers.py" generate "$table" "$kernel/headers/Module.symvers" "$scratch/guest/instrument/families" "${own[@]}"
# An argument, so that no variable of the environment makes a hole in anybody's instrument.
build_module instrument "LEAVES_OUT=${7:-}"
built=$scratch/guest/instrument/Module.symvers
"$python" "$here/wrappers.py" describe "$table" "$kernel/headers/Module.symvers" "$built" "$scratch/families.json" "${own[@]}"
publish "$scratch/families.json" "$families"
publish "$built" "$symvers"
publish "$scratch/guest/instrument/freeonce.ko" "$dest"
