# The parts of an initramfs, put into $root; drivers come from $kernel, an unpacked one.
# Sourced after lib.sh.
# shellcheck shell=bash disable=SC2154

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

install_busybox() {
    local busybox applet
    busybox=$(program busybox)
    install_program "$busybox"
    "$busybox" --list | while read -r applet; do
        [ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"
    done
}

# Drivers and what they depend on; lib/drivers/order has their load order.
install_drivers() {
    local driver
    mkdir -p "$root/lib/drivers"
    : >"$root/lib/drivers/order"
    for driver; do install_driver "$driver"; done
}

# One that is built in is not found and not needed.
install_driver() {
    local file dependency target=$root/lib/drivers/$1.ko
    [ ! -e "$target" ] || return 0
    file=$(find -L "$kernel/modules" -name "$1.ko*" -not -path "$kernel/modules/build/*" -print -quit)
    [ -n "$file" ] || return 0
    case $file in
        *.ko) cat "$file" ;;
        *.xz) xz -dc "$file" ;;
        *.zst) zstd -dcq "$file" ;;
        *.gz) gzip -dc "$file" ;;
    esac >"$target"
    # The module's own list, in its section .modinfo.
    for dependency in $(tr '\0' '\n' <"$target" | sed -n 's/^depends=//p' | tr ',' ' '); do
        install_driver "$dependency"
    done
    printf '%s.ko\n' "$1" >>"$root/lib/drivers/order"
}

# All of $root at $1. Unpacked: the guest would spend more on unpacking than QEMU does on reading.
# For its owner's eyes: a guest's private host key is in it.
pack() {
    (cd "$root" && find . -print0 | LC_ALL=C sort -z | cpio -0 --quiet -o -H newc -R 0:0 --reproducible) >"$scratch/cpio"
    chmod 600 "$scratch/cpio"
    publish "$scratch/cpio" "$1"
}
