#!/usr/bin/env bash
# The same image with an instrument that never writes one type of record.
# Usage: unsaid.sh TOOLCHAIN BASE RECORD DEST     RECORD: type + 256 * witness (guest/LEDGER.md)
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
toolchain=$(realpath "$1") base=$(realpath "$2") record=$3 dest=$(realpath -m -- "$4")
guest=$(realpath "$here/../guest")

scratch_beside "$dest"
image=$scratch/image
mkdir "$image"
ln -s "$base"/{kernel,boot,keys,programs,specimens.ko} "$image/"
"$here/instrument.sh" "$base/kernel" "$guest" "$image/freeonce.ko" "$image/freeonce.symvers" "$image/families.json" "" "$record"
"$here/initramfs.sh" "$base/kernel" "$image" "$guest/init" "$image/initramfs.cpio"
"$python" "$here/manifest.py" write "$image" "$toolchain"
publish "$image" "$dest"
