#!/usr/bin/env bash
# core and alloc for the kernel target, from the compiler's own library source.
# Usage: rust-core.sh TOOLCHAIN CONFIG DEST
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
toolchain=$1 config=$2 dest=$(realpath -m -- "$3")
. "$here/rust-flags.sh"

scratch_beside "$dest"
mkdir "$scratch/rust"
cd "$scratch/rust"
build=("$rustc" --target "$rust_target" "${rust_flags[@]}" -C opt-level=2 -Z force-unstable-if-unmarked
    -A warnings --crate-type rlib --out-dir . -L .)

"${build[@]}" --edition "$edition" --crate-name core "$library/core/src/lib.rs"
# The kernel has memcpy and its kin; what else compiler_builtins offers is never called.
printf '#![feature(compiler_builtins)]\n#![no_std]\n#![compiler_builtins]\n' >compiler_builtins.rs
"${build[@]}" --edition 2021 --crate-name compiler_builtins --extern core=libcore.rlib compiler_builtins.rs
"${build[@]}" --edition "$edition" --crate-name alloc --extern core=libcore.rlib \
    --extern compiler_builtins=libcompiler_builtins.rlib "$library/alloc/src/lib.rs"
publish "$scratch/rust" "$dest"
