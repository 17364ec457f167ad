#!/usr/bin/env bash
# The guest's whole file system: busybox, dropbear, our init, our programs, our modules.
# Usage: initramfs.sh KERNEL IMAGE INIT DEST     environment: PYTHON, one that has the harness
# IMAGE: a folder with freeonce.ko, families.json, specimens.ko, keys, programs
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
. "$here/root.sh"
kernel=$(realpath "$1") image=$(realpath "$2") init=$(realpath "$3") dest=$(realpath -m -- "$4")

scratch_beside "$dest"
root=$scratch/root
mkdir -p "$root"/{bin,dev,proc,sys,tmp,etc/dropbear}
mkdir -m 700 "$root/root" "$root/root/.ssh"

install_busybox
install_program "$(program dropbear)"
for file in "$image/programs"/*; do install_program "$file"; done
# Network and pvpanic.
install_drivers virtio_pci virtio_net pvpanic-pci

cp -r "$init"/etc/. "$root/etc/"
ln -s bin/busybox "$root/init"
install -m 600 "$image/keys/host.dropbear" "$root/etc/dropbear/host_key"
install -m 600 "$image/keys/client.pub" "$root/root/.ssh/authorized_keys"
# Debug info is for the host.
strip --strip-debug -o "$root/lib/freeonce.ko" "$image/freeonce.ko"
# The specimens are a subject like any other. Their sections and symbols keep their numbers.
"$python" "$here/redirected.py" "$image/families.json" "$image/specimens.ko" "$root/lib/specimens.ko"
pack "$dest"
