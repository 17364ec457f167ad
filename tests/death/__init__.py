"""Who dies when, and what must be true afterwards."""
