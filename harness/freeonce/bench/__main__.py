"""Measure, print a table, and write every sample.

Usage: python -m freeonce.bench FILE [ROUNDS [PART...]]
PART: guests, runs, lives, counted, failures, length, audit, long
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from freeonce.bench import audit, failures, guests, length, lives, vng
from freeonce.bench.figure import Figure
from freeonce.guest import template_of
from freeonce.project.host import cores
from freeonce.project.setting import Setting, find_setting
from freeonce.report.lines import put

SCHEMA = "freeonce/bench/1"
ROUNDS = 5


def _guests(setting: Setting, rounds: int) -> Iterator[Figure]:
    ran, whole = vng.boots(setting, rounds)
    ours = guests.boots(setting, rounds)
    # A third of what one waits for the peer.
    goal = whole.median / 3 if whole.samples else None
    yield Figure(ours.name, ours.unit, ours.samples, goal)
    yield from (ran, whole)
    with template_of(setting) as source:
        yield from guests.verdicts(setting, source, 2 * rounds)
        yield guests.throughput(setting, rounds)
        yield from guests.memory(setting, source)
        yield from guests.round_trips(setting, source)
    yield from guests.pairs(setting, rounds)
    yield from guests.vmruns(setting, rounds)


PARTS: Mapping[str, Callable[[Setting, int], Iterable[Figure]]] = {
    "guests": _guests,
    "runs": lambda _, rounds: guests.runs(rounds),
    "lives": lives.figures,
    "counted": lambda _, __: lives.counted(),
    "failures": failures.figures,
    "length": lambda setting, _: length.in_guest(setting),
    "audit": lambda _, rounds: audit.figures(rounds),
    "long": lambda _, rounds: length.figures(rounds),
}


def measure(setting: Setting, rounds: int, parts: Iterable[str] = PARTS) -> Iterator[Figure]:
    """One after the other: nothing disturbs what is measured but the machine."""
    for part in parts:
        yield from PARTS[part](setting, rounds)


def load() -> str:
    """How busy the machine is: figures taken beside other work are no good."""
    return f"load {os.getloadavg()[0]:.1f} on {cores()} CPUs"


def main(destination: str, rounds: int = ROUNDS, *parts: str) -> None:
    """Measure, print, write. Without a part all of them."""
    console, errors = Console(highlight=False), Console(stderr=True)
    setting = find_setting("auto")
    before = load()
    found = []
    with errors.status("measuring") as status:
        for figure in measure(setting, rounds, parts or PARTS):
            found.append(figure)
            status.update(f"measured: {figure.name}")
    host = {**setting.document(), "before": before, "after": load(), "rounds": str(rounds)}
    table = Table("figure", "median", "spread", "goal", "", box=None, pad_edge=False)
    for figure in found:
        table.add_row(*figure.row())
    put(console, table)
    console.print(f"before: {host['before']}; after: {host['after']}")
    document = {"schema": SCHEMA, "host": host, "figures": [one.document() for one in found]}
    Path(destination).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if sys.argv[2:] else ROUNDS, *sys.argv[3:])
