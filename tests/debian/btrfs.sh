#!/bin/sh
# btrfs on a RAM disk that is a zram: files, compressed ones, a sync, twice mounted.
set -e
echo 160M >/sys/block/zram0/disksize
mkfs.btrfs -q -f /dev/zram0 >/dev/null
mkdir -p /tmp/btrfs
for options in noatime compress=lzo; do
    mount -t btrfs -o $options /dev/zram0 /tmp/btrfs
    mkdir -p /tmp/btrfs/folder
    for number in 1 2 3 4 5; do
        dd if=/dev/urandom of=/tmp/btrfs/folder/file$number bs=64k count=$number 2>/dev/null
        dd if=/proc/kallsyms of=/tmp/btrfs/folder/text$number bs=64k count=8 2>/dev/null
    done
    sync
    rm /tmp/btrfs/folder/file2
    ln -f /tmp/btrfs/folder/file1 /tmp/btrfs/folder/link
    sync
    cat /tmp/btrfs/folder/* >/dev/null
    umount /tmp/btrfs
done
