#!/bin/sh
# kvm and kvm-amd: 64 machines one after the other, each with an L2 in real mode and one in long mode;
# 8 more whose processes are killed while the L2 runs and its memory comes and goes.
set -e
kvm_user 64 8
