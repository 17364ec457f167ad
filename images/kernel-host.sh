#!/usr/bin/env bash
# The kernel that this machine has installed: read where it is, nothing copied but the boot image.
# Usage: kernel-host.sh DEST [RELEASE [ROOT]]     RELEASE: the running one, ROOT: /
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"

dest=$(realpath -m -- "$1") release=${2:-$(uname -r)} root=${3:-/}
modules=${root%/}/lib/modules/$release
headers=$modules/build

bzimage=
for candidate in "${root%/}/boot/vmlinuz-$release" "$modules/vmlinuz"; do
    [ -r "$candidate" ] && bzimage=$candidate && break
done
[ -n "$bzimage" ] || die "no readable vmlinuz-$release under ${root%/}/boot or $modules; use KERNEL=cloud"
[ -e "$headers/Makefile" ] ||
    die "no headers at $headers; install linux-headers-$release (Debian, Ubuntu) or kernel-devel (Fedora), or use KERNEL=cloud"
config=${root%/}/boot/config-$release
[ -r "$config" ] || config=$headers/.config
[ -r "$config" ] || die "no configuration of $release in ${root%/}/boot or $headers"

scratch_beside "$dest"
mkdir "$scratch/kernel"
cp -- "$bzimage" "$scratch/kernel/bzImage"
cp -- "$config" "$scratch/kernel/config"
printf '%s\n' "$release" >"$scratch/kernel/release"
ln -s "$modules" "$scratch/kernel/modules"
ln -s "$headers" "$scratch/kernel/headers"
publish "$scratch/kernel" "$dest"
