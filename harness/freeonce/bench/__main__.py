"""Measure, print a table, and write every sample. Usage: python -m freeonce.bench FILE [ROUNDS]."""

import json
import os
import sys
from collections.abc import Iterator
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


def measure(setting: Setting, rounds: int) -> Iterator[Figure]:
    """Everything, one after the other: nothing disturbs what is measured but the machine."""
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
    yield from guests.runs(rounds)
    yield from guests.pairs(setting, rounds)
    yield from guests.vmruns(setting, rounds)
    yield from lives.figures(setting, rounds)
    yield from failures.figures(setting, rounds)
    yield from length.in_guest(setting)
    yield from audit.figures(rounds)
    yield from length.figures(rounds)


def load() -> str:
    """How busy the machine is: figures taken beside other work are no good."""
    return f"load {os.getloadavg()[0]:.1f} on {cores()} CPUs"


def main(destination: str, rounds: int = ROUNDS) -> None:
    """Measure, print, write."""
    console, errors = Console(highlight=False), Console(stderr=True)
    setting = find_setting("auto")
    before = load()
    found = []
    with errors.status("measuring") as status:
        for figure in measure(setting, rounds):
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
    main(sys.argv[1], *map(int, sys.argv[2:3]))
