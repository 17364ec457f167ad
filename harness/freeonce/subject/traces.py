"""The stacks of runs as frames: what their records tell, looked up in the modules' files."""

from collections.abc import Sequence

from freeonce.evidence.ledger import Records
from freeonce.evidence.stacks import Told, told
from freeonce.subject.places import Frame, Source, lines_of
from freeonce.subject.spots import spots


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
