"""Offsets in our own module's text, as records name them, to places in its file.

The kernel lays a module's executable sections one after another, in the order of the file,
each at its alignment (kernel/module/main.c, layout_sections).
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path

from freeonce.errors import FreeonceError, HostError
from freeonce.subject.elf import ALLOC, EXECUTABLE, Elf, parse_elf
from freeonce.subject.packed import read_packed
from freeonce.subject.places import Frame, Place, choose, frames_at

MODULE = "freeonce"


def places(module: Path, sites: Iterable[int]) -> dict[int, Place]:
    """The place of each site that has one. `sites`: return addresses, from the text's begin.

    Raises HostError `no-symbols` when the module's debug info cannot be read.
    """
    try:
        elf = parse_elf(read_packed(module))
    except FreeonceError as error:
        raise HostError("no-symbols", f"cannot read {module}: {error}") from error
    layout = list(_layout(elf))
    starts = [start for start, _ in layout]
    wanted: dict[int, dict[int, int]] = {}
    for site in sorted(set(sites)):
        # What was called stands before the address to which it returns.
        at = bisect_right(starts, site - 1) - 1
        if site and at >= 0 and site - 1 < starts[at] + int(elf.sections[layout[at][1]]["size"]):
            wanted.setdefault(layout[at][1], {})[site] = site - starts[at]
    found = {}
    for section, offsets in wanted.items():
        asked = frames_at(elf, section, list(offsets.values()))
        for site, frames in zip(offsets, asked, strict=False):
            own = tuple(Frame(one.function, None, MODULE, one.file, one.line) for one in frames)
            if place := choose(own):
                found[site] = place
    return found


def _layout(elf: Elf) -> Iterator[tuple[int, int]]:
    """Where the kernel puts each executable section, and its index."""
    end = 0
    for index, one in enumerate(elf.sections):
        code = int(one["flags"]) & (ALLOC | EXECUTABLE) == ALLOC | EXECUTABLE
        if not code or elf.section_names[index].startswith(".init") or not one["size"]:
            continue
        align = max(int(one["align"]), 1)
        start = -(-end // align) * align
        end = start + int(one["size"])
        yield start, index
