#!/usr/bin/env bash
# Our crate as one relocatable object for kbuild.
# Usage: rust-crate.sh TOOLCHAIN CONFIG CORE SOURCE DEST     environment: RUST_OPT (2), RUST_LTO (fat)
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
toolchain=$1 config=$2 core=$(realpath "$3") source=$(realpath "$4") dest=$(realpath -m -- "$5")
. "$here/rust-flags.sh"

scratch_beside "$dest"
"$rustc" "${rust_flags[@]}" -C "opt-level=${RUST_OPT:-2}" -C "lto=${RUST_LTO:-fat}" -C embed-bitcode=yes \
    -C codegen-units=1 --edition 2024 --crate-name freeonce_rust --crate-type staticlib \
    -L "$core" --out-dir "$scratch" "$source/src/lib.rs"
# Only what C enters by, and what that needs: unused parts of core want soft-float.
ld -r --gc-sections -u freeonce_rust_scenario -u freeonce_rust_run \
    -o "$scratch/object" "$scratch/libfreeonce_rust.a"
publish "$scratch/object" "$dest"
