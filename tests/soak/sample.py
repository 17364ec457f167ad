"""What this process has at a moment at which it has no guest, and whether that is flat."""

import gc
import os
import sys
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from freeonce.machine.folder import SCRATCH
from tests.death.life import MARK

SETTLED_SECONDS = 5.0
KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True)
class Place:
    """Where this soak's folders lie. `mark`: in the environment of all that it begins."""

    folders: Path
    templates: Path
    mark: str

    def processes(self) -> int:
        """That carry its mark and are not this one: whoever's children they are by now."""
        wanted = f"{MARK}={self.mark}".encode()
        count = 0
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                count += wanted in environ.read_bytes().split(b"\0")
            except OSError:
                continue
        return count

    def halves(self) -> int:
        """Of what lies in the templates' place: scratch folders of those that are made."""
        return sum(one.name.startswith(SCRATCH) for one in self.templates.iterdir())


@dataclass(frozen=True)
class Kind:
    """Something of which there may be more each time. `most`: by which it may grow, of `guests`."""

    name: str
    count: Callable[[Place], int]
    most: Callable[[int], float]
    unit: int = 1


def none(_: int) -> float:
    """Not one more, however many guests."""
    return 0


def _links() -> list[str]:
    links = []
    for file in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{file}"))
        except FileNotFoundError:  # the listing's own
            continue
    return links


def _children(state: str = "") -> int:
    """In this state, or any. One that is reaped meanwhile is none."""
    count = 0
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            for pid in file.read_text().split():
                stat = Path(f"/proc/{pid}/stat").read_text()
                count += stat.rpartition(")")[2].split()[0].startswith(state)
    return count


def _sockets(place: Place) -> int:
    bound = Path("/proc/net/unix").read_text().splitlines()
    return sum(str(place.folders) in line for line in bound)


def _memory(_: Place) -> int:
    status = Path("/proc/self/status").read_text()
    return KIB * int(status.split("RssAnon:")[1].split()[0])


FEW = 500
"""Guests among which a library may be loaded for the first time."""
LIBRARY_BLOCKS, LIBRARY_BYTES, LIBRARY_MAPPINGS = 8000, 8 * MIB, 60
"""What it may take when somebody needed it late; 4,000 blocks and 3 MiB were seen."""


def _blocks(guests: int) -> float:
    """Had each guest left one, it would be ten times as many; some come and go with caches."""
    return guests / 10 + (LIBRARY_BLOCKS if guests < FEW else 1000)


def _mappings(guests: int) -> float:
    return guests / 100 + (LIBRARY_MAPPINGS if guests < FEW else 10)


def _bytes(guests: int) -> float:
    """A run's evidence is 100 KiB and more, and an object with its dictionary half of one. What the
    allocator does not give back for fragments of pages comes to a MiB or two.
    """
    return guests * 256 + (LIBRARY_BYTES if guests < FEW else 2 * MIB)


KINDS = (
    Kind("open descriptors", lambda _: len(_links()), none),
    Kind("of these sockets", lambda _: sum(one.startswith("socket:") for one in _links()), none),
    Kind("threads", lambda _: threading.active_count(), none),
    Kind("children", lambda _: _children(), none),
    Kind("of these zombies", lambda _: _children("Z"), none),
    Kind("processes with its mark", Place.processes, none),
    Kind("guests' folders", lambda place: len(os.listdir(place.folders)), none),
    Kind("bound sockets in these", _sockets, none),
    Kind("in the templates' place", lambda place: len(os.listdir(place.templates)), none),
    Kind("of these half templates", Place.halves, none),
    Kind("memory blocks of Python", lambda _: sys.getallocatedblocks(), _blocks),
    Kind(
        "mappings",
        lambda _: Path("/proc/self/maps").read_bytes().count(b"\n"),
        _mappings,
    ),
    Kind("memory, MiB (RssAnon)", _memory, _bytes, MIB),
)
"""In the order of the page."""


def settle(place: Place) -> None:
    """Until who just ends has ended, which is also asked of whoever dies: 5 s at most."""
    end = time.monotonic() + SETTLED_SECONDS
    while (_children() or place.processes()) and time.monotonic() < end:
        time.sleep(0.02)


def sample(place: Place) -> "array[int]":
    """One number of each kind, with no guest there any more."""
    settle(place)
    gc.collect()
    # Two blocks of memory, not one for each number: samples are kept, and counted themselves.
    return array("q", (kind.count(place) for kind in KINDS))


@dataclass(frozen=True)
class Course:
    """How one kind went: the last quarter against the second, for the first fills caches."""

    kind: Kind
    first: int
    middle: float
    last: int
    second_quarter: float
    last_quarter: float
    guests: float
    """Between the middles of the two quarters."""

    @property
    def most(self) -> float:
        """By which it may have grown."""
        return self.kind.most(int(self.guests))

    @property
    def grown(self) -> float:
        """By which it has."""
        return self.last_quarter - self.second_quarter

    @property
    def flat(self) -> bool:
        """Whether that is no trend."""
        return self.grown <= self.most


def courses(samples: "Sequence[tuple[int, array[int]]]") -> list[Course]:
    """Of guests begun until then, and what there was; four samples at least."""
    quarter = len(samples) // 4
    second, fourth = samples[quarter : 2 * quarter], samples[-quarter:]
    guests = median(at for at, _ in fourth) - median(at for at, _ in second)
    found = []
    for number, kind in enumerate(KINDS):
        values = [counts[number] for _, counts in samples]
        before, after = (median(counts[number] for _, counts in one) for one in (second, fourth))
        found.append(Course(kind, values[0], median(values), values[-1], before, after, guests))
    return found
