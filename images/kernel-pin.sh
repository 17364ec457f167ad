#!/usr/bin/env bash
# One digest of a kernel and all its modules; with a pin, refuse a kernel that has another.
# Usage: kernel-pin.sh KERNEL [PIN]
# apt has verified a package by its archive's signature; a pin says that it is still the same one.
here=$(dirname "$(realpath "$0")")
. "$here/lib.sh"
kernel=$(realpath "$1") pin=${2:-}

digest() {
    (cd "$kernel" && find -L bzImage config modules -type f -not -path 'modules/build/*' -not -path 'modules/source/*' \
        -print0 | LC_ALL=C sort -z | xargs -0 sha256sum --) | sha256sum | cut -d ' ' -f 1
}

found=$(digest)
if [ -n "$pin" ]; then
    [ "$found" = "$pin" ] || die "kernel $(cat "$kernel/release") is $found, not the $pin of KERNEL_PIN"
else
    printf '%s\n' "$found"
fi
