#!/bin/sh
# rapiddisk and rapiddisk-cache: RAM disks attached, resized, refused, one of them the other one's cache.
set -e
export DM_DISABLE_UDEV=1
manage() { echo "rapiddisk $*" >/sys/kernel/rapiddisk/mgmt; }
manage attach 0 8388608
manage attach 1 16777216
if manage attach 1 4096 2>/dev/null; then exit 1; fi
if manage attach 2 100 2>/dev/null; then exit 1; fi
manage resize 0 12582912
cat /sys/kernel/rapiddisk/devices >/dev/null
dd if=/dev/urandom of=/tmp/data bs=64k count=32 2>/dev/null
dd if=/tmp/data of=/dev/rd1 bs=64k conv=fsync 2>/dev/null
dmsetup create cached --table "0 $(blockdev --getsz /dev/rd1) rapiddisk-cache /dev/rd1 /dev/rd0 8192 0"
[ -b /dev/mapper/cached ]
dd if=/dev/mapper/cached bs=64k count=32 2>/dev/null | cmp - /tmp/data
dd if=/tmp/data of=/dev/mapper/cached bs=64k seek=40 conv=fsync 2>/dev/null
dmsetup status cached >/dev/null
dmsetup remove cached
manage detach 1
rm /tmp/data
