#!/bin/sh
# zram, with num_devices=1: a swap of compressed memory, and a second disk that is hot-added.
set -e
echo 32M >/sys/block/zram0/disksize
mkswap /dev/zram0 >/dev/null
swapon /dev/zram0
swapoff /dev/zram0
dd if=/proc/kallsyms of=/dev/zram0 bs=64k count=48 2>/dev/null
dd if=/dev/urandom of=/dev/zram0 bs=64k count=16 seek=60 2>/dev/null
dd if=/dev/zero of=/dev/zram0 bs=64k count=16 seek=80 2>/dev/null
sync
dd if=/dev/zram0 of=/dev/null bs=64k count=100 2>/dev/null
echo 1 >/sys/block/zram0/compact
number=$(cat /sys/class/zram-control/hot_add)
echo 4M >"/sys/block/zram$number/disksize"
dd if=/dev/urandom of="/dev/zram$number" bs=4k count=8 2>/dev/null
echo "$number" >/sys/class/zram-control/hot_remove
echo 1 >/sys/block/zram0/reset
