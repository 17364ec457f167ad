"""One QEMU process and the lines to it. Each file owns one resource and its one release."""
