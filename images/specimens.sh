#!/usr/bin/env bash
# specimens.ko, against an instrument that was built.
# Usage: specimens.sh KERNEL GUEST SYMVERS RUST_OBJECT DEST [SCENARIOS]
#
# SCENARIOS: a user's folder of C files in place of ours; debug info calls it /freeonce/scenarios.
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
. "$here/kbuild.sh"
kernel=$(realpath "$1") guest=$2 symvers=$(realpath "$3") rust_object=$4 dest=$(realpath -m -- "$5")

scratch_beside "$dest"
mkdir "$scratch/guest"
# Of the instrument only headers are read.
cp -r -- "$guest/instrument" "$guest/specimens" "$scratch/guest/"
arguments=("KBUILD_EXTRA_SYMBOLS=$symvers")
if [ -n "${6:-}" ]; then
    ours=$scratch/guest/specimens/scenarios
    theirs=$(realpath "$6")
    rm -r -- "$ours"
    mkdir "$ours"
    find "$theirs" -maxdepth 1 -name '*.[ch]' -exec cp -- {} "$ours" ';'
    users=("$ours" /freeonce/scenarios "$theirs")
fi
cp -- "$rust_object" "$scratch/guest/specimens/freeonce_rust.o_shipped"
# kbuild wants to know how each object was made.
: >"$scratch/guest/specimens/.freeonce_rust.o.cmd"
build_module specimens "${arguments[@]}"
publish "$scratch/guest/specimens/specimens.ko" "$dest"
