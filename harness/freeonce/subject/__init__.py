"""A kernel module in the host's hands: read, built, redirected, and its places in the source."""
