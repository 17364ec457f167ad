#!/bin/sh
# nbd, with nbds_max=2: a disk whose server is a process of this guest, in its memory.
set -e
nbd_user /dev/nbd0 4194304 &
user=$!
while [ "$(cat /sys/block/nbd0/size)" = 0 ]; do
    kill -0 $user
    sleep 0.1
done
dd if=/dev/urandom of=/tmp/data bs=64k count=32 2>/dev/null
dd if=/tmp/data of=/dev/nbd0 bs=64k conv=fsync 2>/dev/null
dd if=/dev/nbd0 bs=64k count=32 2>/dev/null | cmp - /tmp/data
rm /tmp/data
kill -TERM $user
wait $user
