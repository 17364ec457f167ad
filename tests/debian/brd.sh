#!/bin/sh
# brd, with rd_nr=2 rd_size=8192: written over, half of it discarded, written again.
set -e
for disk in /dev/ram0 /dev/ram1; do
    dd if=/dev/urandom of=$disk bs=64k count=64 2>/dev/null
    blkdiscard -l 2M $disk || true
    dd if=$disk of=/dev/null bs=64k 2>/dev/null
done
blockdev --flushbufs /dev/ram0
