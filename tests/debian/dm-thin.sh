#!/bin/sh
# dm-thin-pool: a pool on two RAM disks, a thin disk, a snapshot of it, both written and removed.
set -e
export DM_DISABLE_UDEV=1
dd if=/dev/zero of=/dev/ram0 bs=64k count=1 2>/dev/null
sectors=$(blockdev --getsz /dev/ram1)
dmsetup create pool --table "0 $sectors thin-pool /dev/ram0 /dev/ram1 128 0"
[ -b /dev/mapper/pool ]
dmsetup message pool 0 'create_thin 0'
dmsetup create thin --table "0 65536 thin /dev/mapper/pool 0"
dd if=/dev/urandom of=/dev/mapper/thin bs=64k count=32 conv=fsync 2>/dev/null
dmsetup suspend thin
dmsetup message pool 0 'create_snap 1 0'
dmsetup resume thin
dmsetup create snap --table "0 65536 thin /dev/mapper/pool 1"
dd if=/dev/urandom of=/dev/mapper/snap bs=64k count=16 conv=fsync 2>/dev/null
dd if=/dev/urandom of=/dev/mapper/thin bs=64k count=8 seek=40 conv=fsync 2>/dev/null
dd if=/dev/mapper/snap of=/dev/null bs=64k count=32 2>/dev/null
dmsetup remove snap
dmsetup message pool 0 'delete 1'
dmsetup remove thin
dmsetup remove pool
