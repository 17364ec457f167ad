#!/usr/bin/env python3
"""A module with its calls led to the instrument's wrappers, as an audit leads those of any module.

Usage: redirected.py FAMILIES MODULE DEST      FAMILIES: families.json of the instrument

By the harness itself: PYTHON must be one that has it, as the virtual environment's.
"""

import sys
from pathlib import Path

from freeonce.subject.families import read_families
from freeonce.subject.module import read_module
from freeonce.subject.redirect import redirect


def write(families: str, module: str, dest: str) -> None:
    """Raises FreeonceError when it cannot be done."""
    wrappers = read_families(Path(families)).wrappers
    Path(dest).write_bytes(redirect(read_module(Path(module)), wrappers).data)


if __name__ == "__main__":
    match sys.argv[1:]:
        case [families, module, dest]:
            write(families, module, dest)
        case _:
            sys.exit(__doc__)
