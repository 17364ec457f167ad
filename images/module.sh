#!/usr/bin/env bash
# freeonce.ko, built in a scratch copy so that the source stays clean.
# Usage: module.sh KERNEL SOURCE RUST_OBJECT DEST
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
kernel=$(realpath "$1") source=$2 rust_object=$3 dest=$(realpath -m -- "$4")

scratch_beside "$dest"
cp -r -- "$source" "$scratch/module"
cp -- "$rust_object" "$scratch/module/freeonce_rust.o_shipped"
# kbuild wants to know how each object was made.
: >"$scratch/module/.freeonce_rust.o.cmd"

# No BTF of our types: it would need pahole. Debug info names our files as in /freeonce.
prefix=-fdebug-prefix-map=$scratch/module=/freeonce/guest/module
options=("M=$scratch/module" CONFIG_DEBUG_INFO_BTF_MODULES= "KCFLAGS=$prefix" "KAFLAGS=$prefix")
arguments=(-C "$kernel/headers" "${options[@]}")
if [ -e "$kernel/headers-source" ]; then
    # Unpacked packages: their Makefile names the place where they would be installed.
    arguments=(-C "$(realpath "$kernel/headers-source")" "O=$(realpath "$kernel/headers")" "${options[@]}")
fi
if ! make -s -k -j"$(nproc)" "${arguments[@]}" modules >"$scratch/log" 2>&1; then
    cat "$scratch/log" >&2
    die "the module does not build"
fi
# Warnings are worth a look; kbuild's other notes are not.
grep -E 'warning:|WARNING:' "$scratch/log" >&2 || true
publish "$scratch/module/freeonce.ko" "$dest"
