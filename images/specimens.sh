#!/usr/bin/env bash
# specimens.ko, against an instrument that was built.
# Usage: specimens.sh KERNEL GUEST SYMVERS RUST_OBJECT DEST
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
. "$here/kbuild.sh"
kernel=$(realpath "$1") guest=$2 symvers=$(realpath "$3") rust_object=$4 dest=$(realpath -m -- "$5")

scratch_beside "$dest"
mkdir "$scratch/guest"
# Of the instrument only headers are read.
cp -r -- "$guest/instrument" "$guest/specimens" "$scratch/guest/"
cp -- "$rust_object" "$scratch/guest/specimens/freeonce_rust.o_shipped"
# kbuild wants to know how each object was made.
: >"$scratch/guest/specimens/.freeonce_rust.o.cmd"
build_module specimens "KBUILD_EXTRA_SYMBOLS=$symvers"
publish "$scratch/guest/specimens/specimens.ko" "$dest"
