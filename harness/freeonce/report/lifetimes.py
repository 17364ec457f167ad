"""What a picture of one run draws: allocations as bars over time, what the CPU was given as bands
under them, and marks beside them. Pure.

Times are nanoseconds since the probes were attached, when the scenario itself begins to run.
The guest says when, and may say nonsense: times are held between there and the last record.
"""

from dataclasses import dataclass

import numpy as np

from freeonce.audit.model import Finding, Judgement
from freeonce.audit.rules import KIND_NAMES
from freeonce.audit.run import NONE, Run, take_apart
from freeonce.evidence.exits import exit_name
from freeonce.evidence.ledger import Flag, Kind, Records, Type
from freeonce.report.bands import Band, bands

LONGEST = 1 << 53
"""More nanoseconds than this no reader of JSON holds exactly (about 104 days)."""


@dataclass(frozen=True)
class Limits:
    """How much of a run is drawn. What is left out is counted."""

    bars: int
    marks: int


OURS = ("pool", "contiguous")
IN_ONE_PIECE = (*OURS, "slab", "pages")

EVERYTHING = Limits(1 << 62, 1 << 62)


@dataclass(frozen=True)
class Bar:
    """One allocation. `start`, `end`: ns; `end` is None when it was never released.

    `first`, `last`: sequence numbers of the records that say so. `pointer`, `physical`: gva and
    gpa. `size`: bytes. `site`, `release_site`: numbers of stacks. `withheld`: its
    release was kept from the kernel. `rules`: what it violates.
    """

    serial: int
    kind: str
    name: str | None
    size: int
    pointer: int
    physical: int
    start: int
    end: int | None
    first: int
    last: int | None
    site: int
    release_site: int | None
    withheld: bool
    rules: tuple[str, ...]

    @property
    def ours(self) -> bool:
        """Whether an allocator of ours gave it, of which all three witnesses tell by themselves."""
        return self.kind in OURS

    @property
    def in_one_piece(self) -> bool:
        """Whether `physical` is the gpa of all of it."""
        return self.kind in IN_ONE_PIECE


@dataclass(frozen=True)
class Mark:
    """A moment. `what`: `vmrun`, `vmexit`, `step` or the rule that was violated there.

    `count`: how many marks of that kind this one stands for. `serial`: of the allocation it
    concerns, 0 for none. `cpu`: where.
    """

    what: str
    time: int
    sequence: int
    text: str
    serial: int = 0
    count: int = 1
    cpu: int = 0


@dataclass(frozen=True)
class Picture:
    """All that is drawn of one run.

    `begin`: where the axis begins on the guest's clock, ns. `span`: ns on it. `events`: the
    highest sequence number on it, and `first_event` the lowest. `bars_left_out`: allocations
    that are not drawn, and `bands_left_out` what the CPU was given. `marks_merged`: entries and
    exits that others stand for. `marks_left_out`: steps and findings that are not marked.
    """

    begin: int
    span: int
    first_event: int
    events: int
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]
    bands: tuple[Band, ...] = ()
    bars_left_out: int = 0
    bands_left_out: int = 0
    marks_merged: int = 0
    marks_left_out: int = 0


NOTHING = Picture(0, 0, 0, 0, (), ())


def picture(
    records: Records, judgement: Judgement, limits: Limits = EVERYTHING, run: Run | None = None
) -> Picture:
    """The picture of one run from its records, in order; `run`: the same taken apart."""
    inside = during(records)
    if not len(inside):
        return NOTHING
    clock = _Clock(inside)
    run = take_apart(records) if run is None else run
    bars, left_out = _bars(run, judgement.findings, clock, limits.bars)
    held, held_left_out = bands(run, judgement.findings, clock.at, limits.bars)
    entries, merged = _entries(inside, clock, limits.marks)
    steps = _steps(run, clock, limits.marks)
    faults = _faults(inside, judgement.findings, clock, limits.marks)
    marks = [*entries, *steps, *faults]
    return Picture(
        begin=clock.begin,
        span=clock.span,
        first_event=int(inside["sequence"][0]),
        events=int(inside["sequence"][-1]),
        bars=tuple(bars),
        marks=tuple(sorted(marks, key=lambda mark: (mark.time, mark.sequence))),
        bands=tuple(held),
        bars_left_out=left_out,
        bands_left_out=held_left_out,
        marks_merged=merged,
        marks_left_out=len(run.steps) - len(steps) + len(judgement.findings) - len(faults),
    )


def during(records: Records) -> Records:
    """The records from where the scenario runs to its end, or to the last before a loss."""
    on = np.flatnonzero(records["type"] == Type.WITNESS_ON)
    end = np.flatnonzero(records["type"] == Type.END)
    inside: Records = records[int(on[0]) if len(on) else 0 : int(end[0]) + 1 if len(end) else None]
    return inside


class _Clock:
    """The guest's time to the axis."""

    def __init__(self, inside: Records) -> None:
        first = int(inside["time"][0])
        self.begin = self._held(first, LONGEST)
        self.span = self._held(int(inside["time"].max()) - first, LONGEST)
        self._first = first
        self._inside = inside
        # Numpy copies a column of records, or one of another type, each time it searches in it.
        self._sequences = inside["sequence"].astype(np.int64)

    def __call__(self, record: np.void) -> int:
        return self._held(int(record["time"]) - self._first, self.span)

    def at(self, sequence: int) -> int:
        """The time of the record of that number, or of the next one inside."""
        return self(self.record(sequence))

    def record(self, sequence: int) -> np.void:
        """The record of that number, or the next one inside."""
        index = int(np.searchsorted(self._sequences, sequence))
        found: np.void = self._inside[min(index, len(self._inside) - 1)]
        return found

    @staticmethod
    def _held(time: int, most: int) -> int:
        return min(max(time, 0), most)


def _bars(
    run: Run, findings: tuple[Finding, ...], clock: _Clock, most: int
) -> tuple[list[Bar], int]:
    """The allocations that violate something first, then the earliest, and how many are not."""
    # Each rule once: a serial may be that of every allocation, and of every finding.
    rules: dict[int, dict[str, None]] = {}
    for finding in findings:
        if finding.serial:
            rules.setdefault(finding.serial, {})[str(finding.rule)] = None
    faulty = np.isin(run.allocates["serial"], list(rules))
    order = np.concatenate((np.flatnonzero(faulty), np.flatnonzero(~faulty)))
    chosen = np.sort(order[:most])
    release_of = np.full(len(run.allocates), NONE, dtype=np.intp)
    once = np.flatnonzero((run.target != NONE) & run.first)
    release_of[run.target[once]] = once
    bars = [
        _bar(run, i, None if release_of[i] == NONE else run.releases[release_of[i]], rules, clock)
        for i in chosen
    ]
    return bars, len(run.allocates) - len(bars)


def _bar(
    run: Run,
    index: int,
    release: np.void | None,
    rules: dict[int, dict[str, None]],
    clock: _Clock,
) -> Bar:
    record = run.allocates[index]
    serial = int(record["serial"])
    return Bar(
        serial=serial,
        kind=KIND_NAMES[Kind(int(record["kind"]))],
        name=run.labels.get(serial),
        size=int(record["size"]),
        pointer=int(record["pointer"]),
        physical=int(record["physical"]),
        start=clock(record),
        end=None if release is None else clock(release),
        first=int(record["sequence"]),
        last=None if release is None else int(release["sequence"]),
        site=int(record["site"]),
        release_site=None if release is None else int(release["site"]),
        withheld=release is not None and bool(int(release["flags"]) & Flag.WITHHELD),
        rules=tuple(rules.get(serial, ())),
    )


def _entries(inside: Records, clock: _Clock, most: int) -> tuple[list[Mark], int]:
    """Each VMRUN and #VMEXIT; too many become one for each slice of time that has any."""
    chosen = inside[np.isin(inside["type"], [Type.VMRUN, Type.VMEXIT])]
    marks = [_entry(record, clock) for record in chosen[: most + 1]]
    if len(chosen) <= most:
        return marks, 0
    times = np.clip(chosen["time"].astype(np.float64) - float(inside["time"][0]), 0, clock.span)
    slices = np.minimum(times * (most // 2) / max(clock.span, 1), most // 2 - 1).astype(np.int64)
    merged = []
    for kind, what in ((Type.VMRUN, "vmrun"), (Type.VMEXIT, "vmexit")):
        mine = np.flatnonzero(chosen["type"] == kind)
        _, firsts, counts = np.unique(slices[mine], return_index=True, return_counts=True)
        for first, count in zip(mine[firsts], counts, strict=True):
            record = chosen[first]
            text = f"{count} in this slice of time"
            when, sequence = clock(record), int(record["sequence"])
            merged.append(Mark(what, when, sequence, text, count=int(count)))
    return merged, len(chosen) - len(merged)


def _entry(record: np.void, clock: _Clock) -> Mark:
    vmrun = record["type"] == Type.VMRUN
    return Mark(
        what="vmrun" if vmrun else "vmexit",
        time=clock(record),
        sequence=int(record["sequence"]),
        text=f"VMCB {int(record['physical']):#x}" if vmrun else _exit_words(record),
        cpu=int(record["cpu"]),
    )


def _exit_words(record: np.void) -> str:
    name = exit_name(int(record["detail"])).removeprefix("VMEXIT_")
    infos = f"EXITINFO1 {int(record['pointer']):#x}, EXITINFO2 {int(record['physical']):#x}"
    return f"{name}, RIP {int(record['size']):#x}, {infos}"


def _steps(run: Run, clock: _Clock, most: int) -> list[Mark]:
    return [
        Mark("step", clock(one.record), int(one.record["sequence"]), one.text)
        for one in run.steps[:most]
    ]


def _faults(inside: Records, findings: tuple[Finding, ...], clock: _Clock, most: int) -> list[Mark]:
    """Where each finding stands on the axis: at its record, a leak at the end."""
    marks = []
    for finding in findings[:most]:
        record = inside[-1] if finding.rule == "leak" else clock.record(finding.sequence)
        mark = Mark(
            what=str(finding.rule),
            time=clock(record),
            sequence=int(record["sequence"]),
            text=finding.detail,
            serial=finding.serial,
            cpu=finding.cpu,
        )
        marks.append(mark)
    return marks
