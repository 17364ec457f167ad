#!/bin/sh
# loop: a file as a disk with a file system on it, and a second one that grows.
set -e
dd if=/dev/zero of=/tmp/disk bs=64k count=64 2>/dev/null
disk=$(losetup -f)
losetup "$disk" /tmp/disk
mke2fs -F "$disk" >/dev/null 2>&1
mkdir -p /tmp/mounted
mount -t ext2 "$disk" /tmp/mounted
dd if=/dev/urandom of=/tmp/mounted/file bs=64k count=16 2>/dev/null
umount /tmp/mounted
losetup -d "$disk"
losetup -r "$disk" /tmp/disk
dd if="$disk" of=/dev/null bs=64k 2>/dev/null
losetup -d "$disk"
rm -r /tmp/disk /tmp/mounted
