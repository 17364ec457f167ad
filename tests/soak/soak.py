"""Guests begun and ended by one crew, over and over, and the page of what came of it."""

import os
import secrets
import sys
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

from freeonce.audit.model import Verdict
from freeonce.evidence.scenarios import Scenario
from freeonce.machine import folder
from freeonce.machine.place import FOLDER_VARIABLE
from freeonce.project.setting import Setting
from freeonce.run.hire import crew_of
from freeonce.run.task import Options, Task
from tests.death.kept import FOUND
from tests.death.life import MARK
from tests.soak.mix import MIX, wrong
from tests.soak.sample import Course, Place, courses, sample

PRISTINE = Options(pristine=True)
LEAST_SAMPLES = 8
"""Two in each quarter: of one its median says little."""


@dataclass
class Soaked:
    """What was done until now. `begun`: guests that were there for their scenario."""

    asked: int
    begun: int = 0
    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    samples: "list[tuple[int, array[int]]]" = field(default_factory=list)
    seconds: float = 0.0

    @property
    def over(self) -> bool:
        """Whether all was done that was asked for."""
        return self.done.total() >= self.asked

    def courses(self) -> list[Course]:
        """How each kind went, as soon as there are samples enough."""
        return courses(self.samples) if len(self.samples) >= LEAST_SAMPLES else []

    @property
    def well(self) -> bool:
        """Whether every verdict is right, each had its guest, and all is flat."""
        told = self.wrong or self.incomplete or self.begun != self.done.total()
        return not told and bool(self.courses()) and all(one.flat for one in self.courses())


@contextmanager
def place_of_its_own() -> Iterator[Place]:
    """Its guests' folders and templates lie where no other run's do."""
    mark = secrets.token_hex(8)
    before = folder.kept_folder.__wrapped__.__defaults__  # type: ignore[attr-defined]
    # A socket's path has at most 107 bytes (unix(7)).
    with tempfile.TemporaryDirectory(prefix="soak-", dir="/tmp") as scratch:
        place = Place(Path(scratch) / "guests", Path(scratch) / "templates", mark)
        place.folders.mkdir(mode=0o700)
        place.templates.mkdir(mode=0o700)
        ours = {MARK: mark, FOLDER_VARIABLE: str(place.templates)}
        outer = {name: os.environ.get(name) for name in ours}
        os.environ.update(ours)
        folder.kept_folder.__wrapped__.__defaults__ = (place.folders,)  # type: ignore[attr-defined]
        try:
            yield place
        finally:
            folder.kept_folder.__wrapped__.__defaults__ = before  # type: ignore[attr-defined]
            for name, value in outer.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def soak(setting: Setting, guests: int, every: int, jobs: int | None = None) -> Iterator[Soaked]:
    """One crew for all of them; after each `every` what is there by then, and once at the end."""
    soaked = Soaked(guests)
    before = time.monotonic()
    # From whichever thread has a guest: to append is one step.
    begun: list[Scenario] = []
    with place_of_its_own() as place, crew_of(setting, jobs=jobs) as crew:
        known = {one.name: one for one in crew.scenarios()}
        tasks = (Task(known[name], PRISTINE) for name in cycle(MIX))
        while not soaked.over:
            few = list(islice(tasks, min(every, guests - soaked.done.total())))
            for result in crew.run(few, begun.append):
                name = result.scenario.name
                soaked.done[name] += 1
                soaked.seconds = time.monotonic() - before
                told = wrong(result, MIX[name])
                if told is not None:
                    unseen = result.judgement.verdict is Verdict.INCOMPLETE
                    one = f"{name}, the {soaked.done.total()}th: {told}"
                    (soaked.incomplete if unseen else soaked.wrong).append(one)
            soaked.begun += len(begun)
            begun.clear()
            soaked.samples.append((soaked.done.total(), sample(place)))
            yield soaked


def page(soaked: Soaked, about: str, before: str = "") -> str:
    """All of it. `before`: the page as it was, of which what was found stays."""
    _, _, found = before.partition(FOUND)
    kinds = soaked.courses()
    risen = [one.kind.name for one in kinds if not one.flat]
    rows = [
        ("guests begun, of one harness, each for one scenario", f"{soaked.begun}"),
        ("asked for", f"{soaked.asked}"),
        ("verdicts", f"{soaked.done.total()}"),
        ("false", f"{len(soaked.wrong)}"),
        ("incomplete that should not be", f"{len(soaked.incomplete)}"),
        ("samples", f"{len(soaked.samples)}"),
        ("flat", ("no: " + ", ".join(risen) if risen else "yes") if kinds else "too few samples"),
    ]
    lines = [
        "# Soak",
        "",
        "Scenarios in turns, each in a guest of its own, by one harness with one crew. `make soak`",
        "does it and writes this page; `tests/guest/test_soak.py` does it 40 times.",
        "",
        about if soaked.over else f"{about} It was ended before all was done.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        *(f"- false: {one}" for one in soaked.wrong),
        *(f"- incomplete: {one}" for one in soaked.incomplete),
        *([""] if soaked.wrong or soaked.incomplete else []),
        *_courses(kinds),
        "## The mix",
        "",
        "What each comes to is written down by what its fault is, not by what was seen",
        "(`tests/soak/mix.py`); it is also held against what the scenario declares.",
        "",
        "| scenario | comes to | times |",
        "|---|---|---|",
        *(f"| `{name}` | {due} | {soaked.done[name]} |" for name, due in MIX.items()),
        *(["", FOUND + found.rstrip()] if found else []),
    ]
    return "\n".join(lines) + "\n"


def _courses(kinds: list[Course]) -> Iterator[str]:
    if not kinds:
        return
    yield from (
        "## What the harness keeps",
        "",
        "Counted while it has no guest, after Python has collected its garbage. Flat is what does",
        "not grow from the second quarter's median to the last quarter's (the first fills caches):",
        "what is counted by one not at all; blocks of memory by less than one in ten guests,",
        "mappings by one in a hundred, bytes by 256 a guest, beside a little that comes and goes.",
        "Whatever a guest left in memory would be ten times that: the least object is a block, and",
        "a run's evidence is 100 KiB. A library that is loaded late, between few guests, is no",
        "trend.",
        "",
        "| | first | median | last | 2nd quarter | last quarter | grew | may | flat |",
        "|---|---|---|---|---|---|---|---|---|",
    )
    for one in kinds:
        numbers = (one.first, one.middle, one.last, one.second_quarter, one.last_quarter)
        told = [_told(number, one.kind.unit) for number in (*numbers, one.grown, one.most)]
        yield f"| {one.kind.name} | {' | '.join(told)} | {'yes' if one.flat else 'NO'} |"
    yield ""


def _told(number: float, unit: int) -> str:
    if unit > 1:
        return f"{number / unit:.1f}"
    return f"{number:g}" if number < 1e5 else f"{number:.0f}"


def about(setting: Setting, soaked: Soaked, jobs: int) -> str:
    """Of which machine, when, and how long."""
    host = setting.document()
    each = soaked.seconds / max(1, soaked.done.total())
    return (
        f"Last run: QEMU {host['qemu']} ({host['accelerator']}), kernel {host['kernel']}, "
        f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {jobs} guests at a time, "
        f"{soaked.seconds:.0f} s, {each:.2f} s a guest, load {os.getloadavg()[2]:.0f} at its end."
    )
