#!/usr/bin/env bash
# The same image with a user's scenarios instead of ours.
# Usage: scenarios.sh TOOLCHAIN BASE SCENARIOS|- DEST [CRATE PROJECT]     environment: CARGO, for a crate
#
# SCENARIOS: a folder. CRATE: a cargo package with more. PROJECT: the folder that has both.
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
toolchain=$(realpath "$1") base=$(realpath "$2") scenarios=$3 dest=$(realpath -m -- "$4")
guest=$(realpath "$here/../guest")

scratch_beside "$dest"
image=$scratch/image
mkdir "$image" "$scratch/none"
[ "$scenarios" != - ] || scenarios=$scratch/none
scenarios=$(realpath "$scenarios")
ln -s "$base"/{kernel,boot,keys,programs,freeonce.ko,freeonce.symvers,families.json} "$image/"
rust=("$toolchain" "$base/kernel/config" "$base/rust" "$guest/rust" "$image/freeonce_rust.o" "$scenarios")
if [ -n "${5:-}" ]; then
    "$here/cargo-crate.sh" "${rust[@]}" "$5" "$6"
else
    "$here/rust-crate.sh" "${rust[@]}"
fi
"$here/specimens.sh" "$base/kernel" "$guest" "$image/freeonce.symvers" "$image/freeonce_rust.o" "$image/specimens.ko" "$scenarios"
"$here/initramfs.sh" "$base/kernel" "$image" "$guest/init" "$image/initramfs.cpio"
"$python" "$here/manifest.py" write "$image" "$toolchain"
publish "$image" "$dest"
