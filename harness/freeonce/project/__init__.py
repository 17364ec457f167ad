"""What a run begins with: image, QEMU, accelerator, and how they are found."""
