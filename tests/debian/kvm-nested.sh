#!/bin/sh
# kvm and kvm-amd: 16 machines whose guest enters an L2 of its own.
set -e
kvm_nested 16
