"""Bytes to records. Pure functions: no machine, no file, no rule."""
