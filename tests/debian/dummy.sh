#!/bin/sh
# dummy, with numdummies=2: both up, packets into the void.
set -e
for number in 0 1; do
    ip address add 192.0.$number.1/24 dev dummy$number
    ip link set dummy$number up
    ping -c 1 -W 1 192.0.$number.2 >/dev/null 2>&1 || true
done
ip link add name dummy9 type dummy
ip link delete dummy9
