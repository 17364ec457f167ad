"""`make deception`: every change of every planted fault, or a share of them.

    python -m tests.deception [--share 0.05] [--what drop] [NAME-PATTERN ...]

Exit status 1 when a change that is not conceded makes a fault clean.
"""

import argparse
import fnmatch
import random
import sys

from tests.deception.changes import WHAT, Change
from tests.deception.lies import Lie, deceived, table
from tests.deception.saved import load


def main() -> int:
    """Try them, and print what was believed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the changes, 0 to 1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--what", action="append", choices=WHAT, help="only these changes")
    parser.add_argument("patterns", nargs="*", default=["*"])
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    what = asked.what or WHAT

    def chosen(change: Change) -> bool:
        return change.what in what and chance.random() < asked.share

    tried, lies = 0, list[Lie]()
    for planted in load():
        if any(fnmatch.fnmatch(planted.name, one) for one in asked.patterns):
            done = list(deceived(planted, chosen))
            found = [lie for lie in done if lie is not None]
            tried += len(done)
            lies += found
            print(f"{planted.name}: {len(done)} changes, {len(found)} clean", file=sys.stderr)
            for lie in found:
                if lie.conceded is None:
                    told = f"NOT CONCEDED: {lie.record}, record {lie.change.index}: {lie.change}"
                    print(told, file=sys.stderr)
    print("\n".join(table(lies)))
    open_ones = sum(lie.conceded is None for lie in lies)
    print(f"{tried} changes, {len(lies)} clean, {open_ones} of these not conceded")
    return 1 if open_ones else 0


if __name__ == "__main__":
    sys.exit(main())
