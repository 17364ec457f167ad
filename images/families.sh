#!/usr/bin/env bash
# The same image with an instrument that has wrappers for a project's own functions, too.
# Usage: families.sh TOOLCHAIN BASE OWN DEST      OWN: its freeonce.toml
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
toolchain=$(realpath "$1") base=$(realpath "$2") own=$(realpath "$3") dest=$(realpath -m -- "$4")
guest=$(realpath "$here/../guest")

scratch_beside "$dest"
image=$scratch/image
mkdir "$image"
ln -s "$base"/{kernel,boot,keys,programs,rust,specimens.ko} "$image/"
"$here/instrument.sh" "$base/kernel" "$guest" "$image/freeonce.ko" "$image/freeonce.symvers" "$image/families.json" "$own"
# The specimens are led to the wrappers by their numbers in this table.
"$here/initramfs.sh" "$base/kernel" "$image" "$guest/init" "$image/initramfs.cpio"
"$python" "$here/manifest.py" write "$image" "$toolchain"
publish "$image" "$dest"
