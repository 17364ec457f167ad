"""Our standard streams, when our caller closed them."""

import os


def open_missing() -> None:
    """Open standard descriptors that are closed: the next file would be taken for them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest that is free is what open(2) gives.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
