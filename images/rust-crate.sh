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

users=()
scenarios=$source/src/scenarios
if [ -n "${6:-}" ]; then
    scenarios=$(realpath "$6")
    # Theirs need not use all of the crate.
    users=(-A unused --remap-path-prefix "$scenarios=/freeonce/scenarios")
fi

scratch_beside "$dest"
# A file is a module: nobody lists it.
for file in "$scenarios"/*.rs; do
    [ -e "$file" ] || continue
    name=$(basename "$file" .rs)
    name=${name//-/_}
    [[ $name =~ ^[a-z_][a-z0-9_]*$ ]] || die "$file: a module of Rust cannot be called '$name'"
    printf '#[warn(unused)]\n#[path = "%s"]\nmod r#%s;\n' "$file" "$name"
done >"$scratch/scenarios.rs"
export FREEONCE_SCENARIOS=$scratch/scenarios.rs
lto=${RUST_LTO:-fat}
bitcode=no
[ "$lto" = off ] || bitcode=yes
# Like any release build: a debug assertion would stop a faulty scenario before it is faulty.
"$rustc" "${rust_flags[@]}" -C "opt-level=${RUST_OPT:-2}" -C "lto=$lto" -C "embed-bitcode=$bitcode" \
    -C debug-assertions=no -C overflow-checks=no \
    -C debuginfo=line-tables-only --remap-path-prefix "$source=/freeonce/guest/rust" "${users[@]}" \
    -C codegen-units=1 --edition 2024 --crate-name freeonce_rust --crate-type staticlib \
    -L "$core" --out-dir "$scratch" "$source/src/lib.rs" 2> >(sed "s|/freeonce/scenarios/|$scenarios/|" >&2)
# Only what C enters by, the table, and what these need.
ld -r --gc-sections -T "$source/rust.lds" -u freeonce_rust_run -u freeonce_rust_bench \
    -o "$scratch/object" "$scratch/libfreeonce_rust.a"

# Bitcode that came along with core is nothing for the kernel.
objcopy -R .llvmbc -R .llvmcmd "$scratch/object"

# Without optimization parts of core stay that format floating point and divide 128-bit numbers.
# The kernel has no such functions and we never call them; should one be called, it says so.
readelf -sW "$scratch/object" |
    awk '$7 == "UND" && $8 ~ /^__[a-z]+[sdht][fi][a-z0-9]*$/ { print ".globl " $8 "\n" $8 ":" }' >"$scratch/never.s"
if [ -s "$scratch/never.s" ]; then
    printf '\tud2\n.section .note.GNU-stack,"",@progbits\n' >>"$scratch/never.s"
    as -o "$scratch/never.o" "$scratch/never.s"
    ld -r -o "$scratch/whole" "$scratch/object" "$scratch/never.o"
    mv "$scratch/whole" "$scratch/object"
fi
publish "$scratch/object" "$dest"
