"""The stacks of runs as frames: what their records tell, looked up in the modules' files."""

import threading
from collections.abc import Iterable, Sequence

from freeonce.evidence.ledger import Records
from freeonce.evidence.stacks import Told, told
from freeonce.subject.places import Frame, Source, lines_of
from freeonce.subject.spots import Spot, spots


def traces(records: Records, sources: Sequence[Source]) -> dict[int, tuple[Frame, ...]]:
    """By a stack's number: its frames, innermost first, inlined ones among them.

    Raises HostError `no-tool` when there is debug info and no addr2line to read it.
    """
    (found,) = traces_of([told(records)], sources)
    return found


def traces_of(
    runs: Sequence[Told], sources: Sequence[Source]
) -> list[dict[int, tuple[Frame, ...]]]:
    """The same of many runs, each of which numbers its stacks for itself. Asks for a line once."""
    by_name = {source.module.name: source for source in sources}
    modules = {name: source.module for name, source in by_name.items()}
    found = [spots(run, modules) for run in runs]
    wanted = {spot for run in found for stack in run.values() for spot in stack}
    lines = lines_of(wanted, by_name)
    return [
        {
            number: tuple(frame for spot in stack for frame in lines[spot])
            for number, stack in run.items()
        }
        for run in found
    ]


class Stacks:
    """The stacks of many runs numbered through: one that comes again has the number that it had.

    Their numbers begin at FIRST, so that none is also that of a stack in one run. Several guests'
    threads may number at once, and another ask for frames meanwhile.
    """

    FIRST = 1 << 32

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = {source.module.name: source for source in sources}
        self._modules = {name: source.module for name, source in self._sources.items()}
        self._numbers: dict[tuple[Spot, ...], int] = {}
        self._changed = threading.Lock()

    def numbers(self, records: Records, wanted: Iterable[int]) -> dict[int, int]:
        """For stacks of one run, by the number that each has in it, the one that it has here."""
        found = spots(told(records), self._modules)
        with self._changed:
            return {
                number: self._numbers.setdefault(found[number], self.FIRST + len(self._numbers))
                for number in wanted
                if number in found
            }

    def traces(self) -> dict[int, tuple[Frame, ...]]:
        """All of them as frames, innermost first. Raises HostError as `traces`."""
        with self._changed:
            numbers = dict(self._numbers)
        lines = lines_of({spot for stack in numbers for spot in stack}, self._sources)
        return {
            number: tuple(frame for spot in stack for frame in lines[spot])
            for stack, number in numbers.items()
        }
