#!/bin/sh
# null_blk, with nr_devices=1: the disk that comes with it, and one backed by memory by configfs.
set -e
dd if=/dev/zero of=/dev/nullb0 bs=64k count=64 2>/dev/null
config=/sys/kernel/config
[ -d $config/nullb ] || mount -t configfs config $config
disk=$config/nullb/memory
mkdir $disk
echo 16 >$disk/size
echo 1 >$disk/memory_backed
echo 1 >$disk/discard
echo 4 >$disk/cache_size
echo 1 >$disk/power
node=/dev/memory
[ -b $node ]
dd if=/dev/urandom of=/tmp/data bs=64k count=64 2>/dev/null
dd if=/tmp/data of=$node bs=64k conv=fsync 2>/dev/null
dd if=$node bs=64k count=64 2>/dev/null | cmp - /tmp/data
blkdiscard -l 1M $node
echo 0 >$disk/power
rmdir $disk
rm /tmp/data
