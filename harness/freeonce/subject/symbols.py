"""The stacks of many runs to places in the source of our own specimens."""

from collections.abc import Sequence
from pathlib import Path

from freeonce.errors import FreeonceError, HostError
from freeonce.evidence.stacks import Told
from freeonce.subject.module import read_module
from freeonce.subject.places import Place, choose, source_of
from freeonce.subject.traces import traces_of


def places(specimens: Path, runs: Sequence[Told]) -> list[dict[int, Place]]:
    """For each run the place of each stack, by its number there.

    Raises HostError `no-symbols` when the module cannot be read, `no-tool` without addr2line.
    """
    try:
        source = source_of(read_module(specimens))
    except FreeonceError as error:
        raise HostError("no-symbols", f"cannot read {specimens}: {error}") from error
    chosen = [
        {number: choose(frames) for number, frames in run.items()}
        for run in traces_of(runs, [source])
    ]
    return [{number: place for number, place in run.items() if place} for run in chosen]
