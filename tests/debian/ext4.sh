#!/bin/sh
# ext4 on a RAM disk: files, folders, links, attributes, a truncation, twice mounted.
set -e
mkfs.ext4 -q -F /dev/ram0
mkdir -p /tmp/ext4
for options in relatime noatime; do
    mount -t ext4 -o $options /dev/ram0 /tmp/ext4
    cd /tmp/ext4
    mkdir -p folder/deeper
    for number in 1 2 3 4 5 6 7 8 9; do
        dd if=/dev/urandom of=folder/file$number bs=10k count=$number 2>/dev/null
    done
    ln -f folder/file1 folder/link
    ln -sf file2 folder/symlink
    mv folder/file3 folder/deeper/
    truncate -s 100 folder/file9
    rm folder/file4
    sync
    find . -type f -exec cat {} + >/dev/null
    cd /
    umount /tmp/ext4
done
