#!/usr/bin/env bash
# The same image with the scenarios compiled otherwise, or with those of another copy of guest/.
# Usage: variant.sh TOOLCHAIN BASE OPT LTO DEST [GUEST]
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
toolchain=$(realpath "$1") base=$(realpath "$2") opt=$3 lto=$4 dest=$(realpath -m -- "$5")
ours=$(realpath "$here/../guest")
guest=$(realpath "${6:-$ours}")

scratch_beside "$dest"
image=$scratch/image
mkdir "$image"
ln -s "$base"/{kernel,boot,keys,programs} "$image/"
# The instrument is the base's, unless that copy has another.
if diff -rq "$ours/instrument" "$guest/instrument" >/dev/null; then
    ln -s "$base"/{freeonce.ko,freeonce.symvers,families.json} "$image/"
else
    "$here/instrument.sh" "$base/kernel" "$guest" "$image/freeonce.ko" "$image/freeonce.symvers" "$image/families.json"
fi
RUST_OPT=$opt RUST_LTO=$lto "$here/rust-crate.sh" "$toolchain" "$base/kernel/config" "$base/rust" "$guest/rust" "$image/freeonce_rust.o"
"$here/specimens.sh" "$base/kernel" "$guest" "$image/freeonce.symvers" "$image/freeonce_rust.o" "$image/specimens.ko"
"$here/initramfs.sh" "$base/kernel" "$image" "$guest/init" "$image/initramfs.cpio"
"$python" "$here/manifest.py" write "$image" "$toolchain"
publish "$image" "$dest"
