"""Proves, from outside the kernel, that every allocation a hypervisor makes is released once."""

__version__ = "0.1.0"
