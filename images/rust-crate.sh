#!/usr/bin/env bash
# Our crate with a folder of scenarios as one relocatable object for kbuild.
# Usage: rust-crate.sh TOOLCHAIN CONFIG CORE SOURCE DEST [SCENARIOS]
# environment: RUST_OPT (2), RUST_LTO (fat)
#
# SCENARIOS: a user's folder; debug info calls it /freeonce/scenarios. By default our own.
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
toolchain=$1 config=$2 core=$(realpath "$3") source=$(realpath "$4") dest=$(realpath -m -- "$5")
. "$here/rust-flags.sh"
. "$here/rust-object.sh"

users=()
scenarios=$source/src/scenarios
if [ -n "${6:-}" ]; then
    scenarios=$(realpath "$6")
    # Theirs need not use all of the crate.
    users=(-A unused --remap-path-prefix "$scenarios=/freeonce/scenarios")
fi

scratch_beside "$dest"
list_scenarios "$scenarios" "$scratch/scenarios.rs"
export FREEONCE_SCENARIOS=$scratch/scenarios.rs
lto=${RUST_LTO:-fat}
bitcode=no
[ "$lto" = off ] || bitcode=yes
# Like any release build: a debug assertion would stop a faulty scenario before it is faulty.
"$rustc" --target "$rust_target" "${rust_flags[@]}" -C "opt-level=${RUST_OPT:-2}" -C "lto=$lto" -C "embed-bitcode=$bitcode" \
    -C debug-assertions=no -C overflow-checks=no \
    -C debuginfo=line-tables-only --remap-path-prefix "$source=/freeonce/guest/rust" "${users[@]}" \
    --cfg 'feature="allocator"' --check-cfg 'cfg(feature, values("allocator"))' \
    -C codegen-units=1 --edition 2024 --crate-name freeonce_rust --crate-type staticlib \
    -L "$core" --out-dir "$scratch" "$source/src/lib.rs" 2> >(sed "s|/freeonce/scenarios/|$scenarios/|" >&2)
rust_object "$scratch/libfreeonce_rust.a" "$source/rust.lds"
publish "$scratch/object" "$dest"
