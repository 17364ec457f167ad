#!/usr/bin/env python3
"""A module with its calls led to the instrument's wrappers, as an audit leads those of any module.

Usage: redirected.py FAMILIES MODULE DEST      FAMILIES: families.json of the instrument

By the harness itself: PYTHON must be one that has it, as the virtual environment's.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from freeonce.audit.untold import GIVES
from freeonce.errors import FreeonceError, UsageError
from freeonce.subject.families import read_families
from freeonce.subject.module import read_module
from freeonce.subject.moving import Found
from freeonce.subject.redirect import redirect


def write(families: str, module: str, dest: str) -> None:
    """Raises FreeonceError when it cannot be done."""
    wrappers = read_families(Path(families)).wrappers
    done = redirect(read_module(Path(module)), wrappers)
    refuse_unseen(done.instructions)
    Path(dest).write_bytes(done.data)


def refuse_unseen(found: Iterable[Found]) -> None:
    """Raises UsageError for a VMRUN of a scenario's own: its run sees only the instrument's."""
    places = [
        f"{one.name} at {one.section}+{one.offset:#x} in {one.function}"
        for one in found
        if one.name in GIVES
    ]
    if places:
        raise UsageError(
            f"in a scenario nobody sees what this gives the CPU: {'; '.join(places)}; "
            "enter an L2 by freeonce_svm_run() (in Rust by svm::L2), or audit the code as a module"
        )


if __name__ == "__main__":
    match sys.argv[1:]:
        case [families, module, dest]:
            try:
                write(families, module, dest)
            except FreeonceError as error:
                sys.exit(f"{Path(module).name}: {error}")
        case _:
            sys.exit(__doc__)
