#!/bin/sh
# bridge, with two ports of veth and dummy: forwarding entries, packets, a VLAN-aware restart.
set -e
brctl addbr br0
ip link add name left type veth
brctl addif br0 left
ip link add name port type dummy
brctl addif br0 port
echo 1 >/sys/class/net/br0/bridge/stp_state
for device in left veth0 port br0; do ip link set $device up; done
ip address add 192.0.2.1/24 dev br0
ip address add 192.0.2.2/24 dev veth0
ping -c 2 -W 1 192.0.2.3 >/dev/null 2>&1 || true
echo 1 >/sys/class/net/br0/bridge/vlan_filtering
cat /sys/class/net/br0/brforward >/dev/null
ip link set br0 down
brctl delif br0 left
brctl delbr br0
ip link delete left
ip link delete port
