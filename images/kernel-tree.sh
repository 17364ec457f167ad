#!/usr/bin/env bash
# A kernel tree that somebody built.
# Usage: kernel-tree.sh TREE DEST
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"

tree=$(realpath -e "$1" 2>/dev/null) || die "KERNEL=$1 is neither cloud, host, a linux-image package nor a folder"
dest=$(realpath -m -- "$2")
for file in arch/x86/boot/bzImage .config include/config/kernel.release Module.symvers; do
    [ -r "$tree/$file" ] || die "$tree is no built x86 kernel tree: $file is missing; run 'make bzImage modules' there"
done

scratch_beside "$dest"
mkdir "$scratch/kernel"
cp -- "$tree/arch/x86/boot/bzImage" "$scratch/kernel/bzImage"
cp -- "$tree/.config" "$scratch/kernel/config"
cp -- "$tree/include/config/kernel.release" "$scratch/kernel/release"
ln -s "$tree" "$scratch/kernel/modules"
ln -s "$tree" "$scratch/kernel/headers"
publish "$scratch/kernel" "$dest"
