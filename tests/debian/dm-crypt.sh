#!/bin/sh
# dm-crypt: an encrypted disk over a RAM disk of 8 MiB, by dmsetup; then with another cipher.
set -e
export DM_DISABLE_UDEV=1
key=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
sectors=$(blockdev --getsz /dev/ram0)
map() {
    dmsetup create secret --table "0 $sectors crypt $1 $key 0 /dev/ram0 0"
    [ -b /dev/mapper/secret ]
    dd if=/dev/urandom of=/tmp/data bs=64k count=32 2>/dev/null
    dd if=/tmp/data of=/dev/mapper/secret bs=64k conv=fsync 2>/dev/null
    dd if=/dev/mapper/secret bs=64k count=32 2>/dev/null | cmp - /tmp/data
    dmsetup remove secret
}
map aes-cbc-plain64
map aes-cbc-null
# A table that is refused: no such cipher.
if dmsetup create secret --table "0 $sectors crypt none-cbc-plain $key 0 /dev/ram0 0" 2>/dev/null; then
    exit 1
fi
rm /tmp/data
