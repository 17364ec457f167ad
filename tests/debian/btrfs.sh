# btrfs on a RAM disk of 128 MiB: files, compressed ones, a sync, twice mounted.
set -e
mkfs.btrfs -q -f /dev/ram0
mkdir -p /tmp/btrfs
for options in defaults compress=lzo; do
    mount -t btrfs -o $options /dev/ram0 /tmp/btrfs
    mkdir -p /tmp/btrfs/folder
    for number in 1 2 3 4 5; do
        dd if=/dev/urandom of=/tmp/btrfs/folder/file$number bs=64k count=$number 2>/dev/null
        cp /proc/kallsyms /tmp/btrfs/folder/text$number
    done
    sync
    rm /tmp/btrfs/folder/file2
    ln -f /tmp/btrfs/folder/file1 /tmp/btrfs/folder/link
    sync
    cat /tmp/btrfs/folder/* >/dev/null
    umount /tmp/btrfs
done
