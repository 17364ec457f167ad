#!/usr/bin/env bash
# The guest's whole file system: busybox, dropbear, our init, our programs, our module.
# Usage: initramfs.sh KERNEL MODULE KEYS PROGRAMS INIT DEST
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
. "$here/root.sh"
kernel=$(realpath "$1") module=$(realpath "$2") keys=$(realpath "$3")
programs=$(realpath "$4") init=$(realpath "$5") dest=$(realpath -m -- "$6")

scratch_beside "$dest"
root=$scratch/root
mkdir -p "$root"/{bin,dev,proc,sys,tmp,etc/dropbear}
mkdir -m 700 "$root/root" "$root/root/.ssh"

install_busybox
install_program "$(program dropbear)"
for file in "$programs"/*; do install_program "$file"; done
# Network and pvpanic.
install_drivers virtio_pci virtio_net pvpanic-pci

cp -r "$init"/etc/. "$root/etc/"
ln -s bin/busybox "$root/init"
install -m 600 "$keys/host.dropbear" "$root/etc/dropbear/host_key"
install -m 600 "$keys/client.pub" "$root/root/.ssh/authorized_keys"
# Debug info is for the host.
strip --strip-debug -o "$root/lib/freeonce.ko" "$module"
pack "$dest"
