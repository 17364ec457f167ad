"""The stacks of one run as frames: what its records tell, looked up in the modules' files."""

from collections.abc import Sequence

from freeonce.evidence.ledger import Records
from freeonce.evidence.stacks import told
from freeonce.subject.places import Frame, Source, lines_of
from freeonce.subject.spots import spots


def traces(records: Records, sources: Sequence[Source]) -> dict[int, tuple[Frame, ...]]:
    """By a stack's number: its frames, innermost first, inlined ones among them.

    Raises HostError `no-tool` when there is debug info and no addr2line to read it.
    """
    by_name = {source.module.name: source for source in sources}
    modules = {name: source.module for name, source in by_name.items()}
    found = spots(told(records), modules)
    lines = lines_of({spot for stack in found.values() for spot in stack}, by_name)
    return {
        number: tuple(frame for spot in stack for frame in lines[spot])
        for number, stack in found.items()
    }
