#!/bin/sh
# kvm and kvm-amd: 64 machines one after the other, each with an L2 in real mode and one in long mode.
set -e
kvm_user 64
