#!/usr/bin/env bash
# A user's cargo package as one relocatable object for kbuild, with our crate and a folder of scenarios.
# Usage: cargo-crate.sh TOOLCHAIN CONFIG CORE SOURCE DEST SCENARIOS PACKAGE PROJECT
# environment: CARGO, RUST_OPT (2), RUST_LTO (fat)
#
# SOURCE: our crate. PROJECT: the folder from which findings name the package's files. Nothing is downloaded.
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
toolchain=$1 config=$2 core=$(realpath "$3") source=$(realpath "$4") dest=$(realpath -m -- "$5")
scenarios=$(realpath "$6") package=$(realpath "$7") project=$(realpath "$8")
. "$here/rust-flags.sh"
. "$here/rust-object.sh"

scratch_beside "$dest"
list_scenarios "$scenarios" "$scratch/scenarios.rs"
# Core and alloc were compiled with the kernel's flags. Cargo finds them as those of a target.
target=$scratch/sysroot/lib/rustlib/$rust_target
mkdir -p "$target"
ln -s "$core" "$target/lib"

flags=("${rust_flags[@]}" --sysroot "$scratch/sysroot"
    --remap-path-prefix "$project=/freeonce" --remap-path-prefix "$source=/freeonce/guest/rust"
    --remap-path-prefix "$scenarios=/freeonce/scenarios")
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS RUSTC=$rustc
unset RUSTFLAGS CARGO_BUILD_TARGET
export CARGO_TARGET_DIR=$scratch/target FREEONCE_SCENARIOS=$scratch/scenarios.rs
export CARGO_PROFILE_RELEASE_OPT_LEVEL=${RUST_OPT:-2} CARGO_PROFILE_RELEASE_LTO=${RUST_LTO:-fat}
export CARGO_PROFILE_RELEASE_DEBUG=line-tables-only CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
export CARGO_PROFILE_RELEASE_PANIC=abort CARGO_PROFILE_RELEASE_STRIP=none
# As of ours: a debug assertion would stop a faulty scenario before it is faulty.
export CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=false CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=false
# A compiler's environment that would have none of this.
unset RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER
# The compiler's messages with the names that a user knows.
told() {
    sed "s|/freeonce/guest/rust/|$source/|;t;s|/freeonce/scenarios/|$scenarios/|;t;s|/freeonce/|$project/|"
}
(cd "$package" && "$CARGO" rustc --quiet --release --lib --crate-type staticlib --offline \
    --target "$rust_target" --config "patch.crates-io.freeonce.path='$source'") 2>&1 | told >&2 ||
    die "cargo does not build $package"
archives=("$scratch/target/$rust_target/release"/lib*.a)
if [ ${#archives[@]} != 1 ] || [ ! -e "${archives[0]}" ]; then
    die "cargo made no archive of $package"
fi
rust_object "${archives[0]}" "$source/rust.lds"
publish "$scratch/object" "$dest"
