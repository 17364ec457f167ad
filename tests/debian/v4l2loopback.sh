#!/bin/sh
# v4l2loopback: a format set, frames written and read.
set -e
v4l2_user /dev/video0
