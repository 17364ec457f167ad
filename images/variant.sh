#!/usr/bin/env bash
# The same image with the scenarios compiled otherwise, or with those of another copy of guest/.
# Usage: variant.sh TOOLCHAIN BASE OPT LTO DEST [GUEST]
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
toolchain=$(realpath "$1") base=$(realpath "$2") opt=$3 lto=$4 dest=$(realpath -m -- "$5")
guest=$(realpath "${6:-$here/../guest}")

scratch_beside "$dest"
image=$scratch/image
mkdir "$image"
ln -s "$base"/{kernel,boot,keys,programs} "$image/"
RUST_OPT=$opt RUST_LTO=$lto "$here/rust-crate.sh" "$toolchain" "$base/kernel/config" "$base/rust" "$guest/rust" "$image/freeonce_rust.o"
"$here/module.sh" "$base/kernel" "$guest/module" "$image/freeonce_rust.o" "$image/freeonce.ko"
"$here/initramfs.sh" "$base/kernel" "$image/freeonce.ko" "$base/keys" "$base/programs" "$guest/init" "$image/initramfs.cpio"
"$here/manifest.py" write "$image" "$toolchain"
publish "$image" "$dest"
