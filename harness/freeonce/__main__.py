"""`freeonce`, also as `python -m freeonce`: it may be interrupted while it is still imported."""

import signal
import sys


def main() -> None:
    """The program. 130 when it is interrupted before or after what `cli.main` answers for."""
    try:
        from freeonce.cli import main as program  # noqa: PLC0415

        program.main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
