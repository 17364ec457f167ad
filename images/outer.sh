#!/usr/bin/env bash
# The initramfs of the outer machine, a host with KVM: busybox, its init, drivers.
# Usage: outer.sh KERNEL INIT DEST
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
. "$here/root.sh"
kernel=$(realpath "$1") init=$(realpath "$2") dest=$(realpath -m -- "$3")

scratch_beside "$dest"
root=$scratch/root
mkdir -p "$root"/{bin,dev,proc,sys,host,written,root}
install_busybox
install_drivers virtio_pci 9pnet_virtio 9p overlay kvm-amd
install -m 755 "$init" "$root/init"
pack "$dest"
