#!/usr/bin/env bash
# The guest's whole file system: busybox, dropbear, our init, our control line, our module.
# Usage: initramfs.sh KERNEL MODULE KEYS CONTROL INIT DEST
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
kernel=$(realpath "$1") module=$(realpath "$2") keys=$(realpath "$3")
control=$(realpath "$4") init=$(realpath "$5") dest=$(realpath -m -- "$6")

# What network and pvpanic need, in load order. Built-in ones are not found and not needed.
drivers=(virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover net_failover virtio_net
    pvpanic pvpanic-pci)

program() {
    PATH=$PATH:/usr/sbin:/sbin command -v "$1" || die "$1 is not installed"
}

# A program and the libraries it is linked with.
install_program() {
    local file
    install -D "$1" "$root/bin/$(basename "$1")"
    # A static program has no libraries, which both ldd and grep report as failure.
    { ldd "$1" 2>/dev/null | grep -o '/[^ ]*' || true; } | while read -r file; do
        install -D "$file" "$root$file"
    done
}

install_driver() {
    local file
    file=$(find -L "$kernel/modules" -name "$1.ko*" -not -path "$kernel/modules/build/*" -print -quit)
    [ -n "$file" ] || return 0
    case $file in
        *.ko) cat "$file" ;;
        *.xz) xz -dc "$file" ;;
        *.zst) zstd -dcq "$file" ;;
        *.gz) gzip -dc "$file" ;;
    esac >"$root/lib/drivers/$1.ko"
    printf '%s.ko\n' "$1" >>"$root/lib/drivers/order"
}

busybox=$(program busybox)
dropbear=$(program dropbear)
scratch_beside "$dest"
root=$scratch/root
mkdir -p "$root"/{bin,dev,proc,sys,tmp,lib/drivers,etc/dropbear}
mkdir -m 700 "$root/root" "$root/root/.ssh"

install_program "$busybox"
install_program "$dropbear"
install_program "$control"
"$busybox" --list | while read -r applet; do
    [ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"
done
: >"$root/lib/drivers/order"
for driver in "${drivers[@]}"; do install_driver "$driver"; done

cp -r "$init"/etc/. "$root/etc/"
ln -s bin/busybox "$root/init"
install -m 600 "$keys/host.dropbear" "$root/etc/dropbear/host_key"
install -m 600 "$keys/client.pub" "$root/root/.ssh/authorized_keys"
# Its symbols for a debugger stay on the host: the guest would copy them at each load.
strip --strip-debug -o "$root/lib/freeonce.ko" "$module"

# Unpacked: the guest would spend more on unpacking than QEMU does on reading.
(cd "$root" && find . -print0 | LC_ALL=C sort -z | cpio -0 --quiet -o -H newc -R 0:0 --reproducible) >"$scratch/cpio"
publish "$scratch/cpio" "$dest"
