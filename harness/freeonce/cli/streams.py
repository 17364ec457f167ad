"""Our standard streams: open, able to write what the guest says, and written out at the end."""

import io
import os
import sys


def open_missing() -> None:
    """Open standard descriptors that our caller closed: the next file would be taken for them.

    What is printed there goes to /dev/null.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            # The lowest that is free is what open(2) gives.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def escape_what_they_cannot_show() -> None:
    """A terminal of another encoding shows an escape; without this a character ends the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush() -> None:
    """Write out what was printed. Raises OSError while somebody can still be told."""
    if sys.stdout is not None:
        sys.stdout.flush()


def give_up() -> None:
    """Nobody takes what is left: Python would try once more at its end, and say so."""
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(null, 1)
    os.close(null)
