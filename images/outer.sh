#!/usr/bin/env bash
# The initramfs of the outer machine, a host with KVM: busybox, its init, its look, drivers.
# Usage: outer.sh KERNEL FOLDER DEST   FOLDER: guest/outer
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
. "$here/root.sh"
kernel=$(realpath "$1") scripts=$(realpath "$2") dest=$(realpath -m -- "$3")

scratch_beside "$dest"
root=$scratch/root
mkdir -p "$root"/{bin,dev,proc,sys,host,written,root}
install_busybox
install_drivers virtio_pci 9pnet_virtio 9p overlay kvm-amd
install -m 755 "$scripts/init" "$scripts/look" "$root"
pack "$dest"
