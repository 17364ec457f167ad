"""`freeonce`, also as `python -m freeonce`: it may be interrupted while it is still imported."""

import os
import signal
import sys
from contextlib import suppress


def main() -> None:
    """The program. 130 when it is interrupted before or after what `cli.main` answers for."""
    try:
        from freeonce.cli import main as program  # noqa: PLC0415

        program.main()
    except KeyboardInterrupt:
        for stream, words in ((sys.stdout, ""), (sys.stderr, "interrupted\n")):
            with suppress(OSError):
                if stream is not None:
                    print(words, end="", file=stream, flush=True)
        # Not by way of Python's end, which would try to write once more what could not be written.
        os._exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
