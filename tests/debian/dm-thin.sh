# dm-thin-pool: a pool on two RAM disks, a thin disk, a snapshot of it, both written and removed.
set -e
dm() { dmsetup --noudevsync --noudevrules "$@"; }
dd if=/dev/zero of=/dev/ram0 bs=64k count=1 2>/dev/null
sectors=$(blockdev --getsz /dev/ram1)
dm create pool --table "0 $sectors thin-pool /dev/ram0 /dev/ram1 128 0"
dm message pool 0 'create_thin 0'
dm create thin --table "0 65536 thin /dev/mapper/pool 0"
dd if=/dev/urandom of=/dev/mapper/thin bs=64k count=32 conv=fsync 2>/dev/null
dm suspend thin
dm message pool 0 'create_snap 1 0'
dm resume thin
dm create snap --table "0 65536 thin /dev/mapper/pool 1"
dd if=/dev/urandom of=/dev/mapper/snap bs=64k count=16 conv=fsync 2>/dev/null
dd if=/dev/urandom of=/dev/mapper/thin bs=64k count=8 seek=40 conv=fsync 2>/dev/null
dd if=/dev/mapper/snap of=/dev/null bs=64k count=32 2>/dev/null
dm remove snap
dm message pool 0 'delete 1'
dm remove thin
dm remove pool
