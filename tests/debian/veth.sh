#!/bin/sh
# veth: a pair of which one end is in another network namespace, and packets through it.
set -e
ip link add name left type veth
ip link set left up
ip address add 192.0.2.1/24 dev left
ip link set veth0 up
ping -c 2 -W 1 192.0.2.2 >/dev/null 2>&1 || true
ip link delete left
