#!/bin/sh
# tun: a TAP and a TUN that stay, one of them with an address and something to drop.
set -e
tunctl -t tap0 >/dev/null
ip address add 192.0.2.1/24 dev tap0
ip link set tap0 up
ping -c 1 -W 1 192.0.2.2 >/dev/null 2>&1 || true
ip link set tap0 down
tunctl -d tap0 >/dev/null
