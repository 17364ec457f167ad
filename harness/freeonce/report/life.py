"""A life of foreign modules for programs and for people. Pure but for printing.

`audit --json`: schema freeonce/audit/1. Stable: other programs depend on it.
"""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from freeonce.audit.life import Life, Ran, Stage, Target
from freeonce.audit.model import Verdict
from freeonce.audit.points import Point, Points, passed
from freeonce.audit.result import Result
from freeonce.audit.rules import KIND_NAMES
from freeonce.evidence.ledger import Flag, Kind, Records, Type, Witness
from freeonce.evidence.oops import shortened
from freeonce.evidence.scenarios import Expectation
from freeonce.report.cpu import cpu_document, cpu_words
from freeonce.report.excused import NONE, Excuses, Suppression
from freeonce.report.expected import Known, compare
from freeonce.report.failures import points_document
from freeonce.report.found import Found, Traces, found
from freeonce.report.frames import described, frames_document
from freeonce.report.identity import Named, of_found, of_point
from freeonce.report.places import NOWHERE, Everywhere
from freeonce.report.sites import call_sites
from freeonce.report.terminal import MOST_SHOWN, STYLES, shown
from freeonce.report.words import SUPPRESSED, sentence
from freeonce.subject.places import Frame, choose

SCHEMA = "freeonce/audit/1"
SHOWN_FRAMES = 8
SHOWN_SITES = 20
SHOWN_OUTPUT = 20
"""Lines of an exercise's output that are shown when it fails."""


@dataclass(frozen=True)
class Told:
    """A life with what its reports tell. `known`: findings that were expected, and why.

    `missing`: those that were expected and did not come.
    """

    life: Life
    found: tuple[Found, ...]
    known: Mapping[Found, Known]
    missing: tuple[Known, ...]
    points: Points | None = None
    """Of `--fail-each`."""
    named: Mapping[Found | Point, tuple[Named, ...]] = field(default_factory=dict)
    """What is the same of each finding, and of each point that was not handled, in every build."""
    suppressed: Mapping[Found | Point, str] = field(default_factory=dict)
    """Why some of these do not count."""
    unused: tuple[Suppression, ...] = ()
    """Suppressions that nothing came of."""

    @property
    def ok(self) -> bool:
        """Whether it came to what was expected: by default to nothing at all."""
        return self.life.result.as_expected

    @property
    def bears_failures(self) -> bool:
        """Whether every failure was handled, too, where any was made."""
        return self.ok and passed([self.points] if self.points else [])


def tell(
    life: Life,
    traces: Traces,
    known: Sequence[Known] = (),
    points: Points | None = None,
    excuses: Excuses = NONE,
) -> Told:
    """A life held against what was expected: by default that nothing is found.

    `excuses`: what is found and does not count. That stays in the verdict, and is told.
    """
    result = life.result
    groups = found(result.judgement.findings, traces)
    met, missing = compare(groups, known)
    named = _named(result.scenario.name, groups, points, traces)
    suppressed = {
        one: reason
        for one, names in named.items()
        if one not in met and (reason := excuses.all(names))
    }
    whole = result.judgement.verdict in (Verdict.CLEAN, Verdict.FAULTY)
    as_expected = whole and not missing and all(one in met or one in suppressed for one in groups)
    said = {one: known.because for one, known in met.items()} | {
        one: reason for one, reason in suppressed.items() if isinstance(one, Found)
    }
    why = {
        finding: Expectation(str(finding.rule), finding.kind, because=because)
        for one, because in said.items()
        for finding in one.findings
    }
    result = replace(result, as_expected=as_expected, why=why)
    return Told(
        replace(life, result=result),
        groups,
        met,
        missing,
        _with_excused(points, suppressed, result) if points else None,
        named,
        suppressed,
        excuses.unused(one for names in named.values() for one in names),
    )


def _named(
    name: str, groups: Sequence[Found], points: Points | None, traces: Traces
) -> dict[Found | Point, tuple[Named, ...]]:
    named: dict[Found | Point, tuple[Named, ...]] = {one: (of_found(name, one),) for one in groups}
    for point in points.points if points else ():
        if names := of_point(name, point, traces):
            named[point] = names
    return named


def _with_excused(points: Points, suppressed: Mapping[Found | Point, str], plain: Result) -> Points:
    """The same with what does not count as expected, and why among its reasons, so that every
    report tells it.
    """
    every = tuple(
        replace(one, result=_excused(one.result, suppressed[one])) if one in suppressed else one
        for one in points.points
    )
    return replace(points, plain=plain, points=every)


def _excused(result: Result, because: str) -> Result:
    judgement = result.judgement
    why = {
        finding: Expectation(str(finding.rule), finding.kind, because=because)
        for finding in judgement.findings
    }
    reasons = (*judgement.reasons, f"{SUPPRESSED}{because}")
    judged = replace(judgement, reasons=reasons)
    return replace(result, judgement=judged, as_expected=True, why=why)


def places_of(traces: Traces) -> Everywhere:
    """The place of each stack that has one: all lives number theirs through."""
    chosen = {number: choose(frames) for number, frames in traces.items()}
    return Everywhere(otherwise={number: place for number, place in chosen.items() if place})


@dataclass(frozen=True)
class Count:
    """What was acquired and given back, of one family."""

    acquired: int
    released: int


def by_family(records: Records) -> dict[str, Count]:
    """Each family that was used. Released: by the owner, or by the kernel for it, once each."""
    owner = records["witness"] == Witness.LEDGER
    acquired = np.flatnonzero(owner & (records["type"] == Type.ALLOCATE))
    given_back = (records["type"] == Type.RELEASE) & (records["flags"] & Flag.WITHHELD == 0)
    kinds = records["kind"][acquired]
    released = np.isin(records["serial"][acquired], records["serial"][given_back])
    return {
        KIND_NAMES[Kind(int(kind))]: Count(
            int(np.count_nonzero(kinds == kind)),
            int(np.count_nonzero(released & (kinds == kind))),
        )
        for kind in np.unique(kinds)
    }


def audit_document(
    host: Mapping[str, str],
    lives: Sequence[Told],
    seconds: float,
    places: Everywhere = NOWHERE,
    broken_off: str = "",
) -> dict[str, object]:
    """All of it, for programs. `places`: of the stacks that failure points speak of.

    `broken_off`: how far it came when it did not come to its end.
    """
    targets = {target.name: target for told in lives for target in told.life.targets}
    return {
        "schema": SCHEMA,
        "host": dict(host),
        "ok": bool(lives) and all(told.bears_failures for told in lives) and not broken_off,
        "broken_off": broken_off or None,
        "targets": [_target(target) for target in targets.values()],
        "lives": [life_document(told, places) for told in lives],
        "seconds": round(seconds, 3),
    }


def _target(target: Target) -> dict[str, object]:
    return asdict(target) | {
        "unaudited": [one.function for one in target.unaudited],
        "not_audited": {
            "calls": sum(one.calls for one in target.unaudited),
            "functions": [asdict(one) for one in target.unaudited],
        },
    }


def life_document(told: Told, places: Everywhere) -> dict[str, object]:
    """One life, as in `audit --json`."""
    life, result = told.life, told.life.result
    counts = by_family(result.evidence.records)
    return {
        "name": result.scenario.name,
        "targets": [target.name for target in life.targets],
        "phase": str(life.stage),
        "verdict": str(result.judgement.verdict),
        "as_expected": told.ok,
        "acquired": sum(one.acquired for one in counts.values()),
        "released": sum(one.released for one in counts.values()),
        "by_family": {name: asdict(one) for name, one in counts.items()},
        **cpu_document(result.evidence.records),
        "call_sites": [
            asdict(one) | {"stack": frames_document(place.frames if place else ())}
            for one in call_sites(result.evidence.records)
            for place in [places.of(result).get(one.site)]
        ],
        "findings": [_finding(told, one) for one in told.found],
        "missing": [_known(one) for one in told.missing],
        "reasons": [{"reason": str(one.obstacle), "message": one.message} for one in life.reasons],
        "doubts": list(result.judgement.reasons),
        "exercises": [asdict(ran) for ran in life.ran],
        "witnesses": {name: str(one) for name, one in result.judgement.witnesses.items()},
        "loss": result.loss,
        "seconds": round(result.seconds, 3),
        "unused_suppressions": [asdict(one) for one in told.unused],
        **({"failures": _failures(told, told.points, places)} if told.points else {}),
    }


def _failures(told: Told, points: Points, places: Everywhere) -> dict[str, object]:
    def judged(point: Point) -> dict[str, object]:
        names = [asdict(one) for one in told.named.get(point, ())]
        return {"named": names, "suppressed": told.suppressed.get(point)}

    return points_document(points, places, judged)


def _finding(told: Told, one: Found) -> dict[str, object]:
    finding, known = one.finding, told.known.get(one)
    frame = one.place.frame if one.place else Frame("")
    return {
        "rule": str(finding.rule),
        "family": finding.kind,
        "size": finding.size,
        "total": finding.total,
        "message": sentence(finding),
        "function": frame.function or None,
        "offset": frame.offset,
        "module": frame.module or None,
        "file": frame.file,
        "line": frame.line,
        "stack": frames_document(one.stack),
        "allocated_at": frames_document(one.allocated),
        "released_at": frames_document(one.released),
        "count": one.count,
        "witness": finding.witness,
        "known": known.because or True if known else False,
        "suppressed": told.suppressed.get(one),
        "identity": told.named[one][0].identity,
    }


def _known(one: Known) -> dict[str, object]:
    return {key: value for key, value in asdict(one).items() if value is not None}


def print_life(
    console: Console,
    host: Mapping[str, str],
    told: Told,
    quiet: bool = False,
    verbose: bool = False,
    *,
    places: Everywhere = NOWHERE,
) -> None:
    """One life, readable at 80 columns and without colour; with `quiet` only what is wrong.

    `verbose`: what every exercise printed too, not only the end of one that failed; and where
    most was acquired. `places`: of the stacks.
    """
    if quiet and told.bears_failures:
        return
    life, judgement = told.life, told.life.result.judgement
    console.print(Text(f"QEMU {host['qemu']}, {host['accelerator']}: {host['reason']}"))
    console.print(Text(f"guest kernel {host['kernel']}"))
    for target in life.targets:
        _print_target(console, target)
    for ran in life.ran:
        _print_ran(console, ran, verbose)
    if counts := by_family(life.result.evidence.records):
        console.print()
        console.print(_table(counts))
    if used := cpu_words(life.result.evidence.records):
        console.print()
        _indented(console, [used])
    if verbose:
        _print_sites(console, told, places)
    excused = told.suppressed.keys() | told.known.keys()
    found, rest = shown(told.found, lambda one: one.finding.rule, excused.__contains__)
    for one in found:
        _print_found(console, one, told)
    for line in rest:
        console.print()
        console.print(line)
    for known in told.missing:
        console.print()
        console.print(Text(f"! expected and not found: {known}", style="bold yellow"))
    _print_reasons(console, told)
    console.print()
    console.print(Text(_summary(told), style=f"bold {STYLES[judgement.verdict]}"))


def _print_target(console: Console, target: Target) -> None:
    console.print()
    console.print(Text(target.name, style="bold cyan"))
    lines = [f"{len(target.audited)} functions are audited: {', '.join(target.audited)}"]
    if target.unaudited:
        lines.append(_not_audited(target))
    lines += _instructions(target)
    if not target.has_debug_info:
        lines.append("no debug info: functions and offsets, no lines (--debug-info PATH)")
    _indented(console, lines)


def _instructions(target: Target) -> Iterator[str]:
    """By which it gives the CPU memory: those that are told of, and each that is not, with why."""
    told = Counter(one.name for one in target.instructions if not one.left)
    if told:
        each = ", ".join(f"{count} {name}" for name, count in told.items())
        yield f"what it gives the CPU is told at {each}"
    for one in target.instructions:
        if one.left:
            yield f"not told: {one.words}"


def _not_audited(target: Target) -> str:
    """Of what the verdict says nothing; what is called most comes first."""
    most = sorted(target.unaudited, key=lambda one: -one.calls)
    calls, names = sum(one.calls for one in most), len(most)
    each = (f"{one.function} ({one.calls}, {one.what})" for one in most)
    functions = "function" if names == 1 else "functions"
    return f"not audited: {calls} calls of {names} {functions}: {', '.join(each)}"


def _indented(console: Console, lines: Iterable[str]) -> None:
    """Lines below something; without blanks to their right, which some readers show."""
    for line in lines:
        for part in textwrap.wrap(line, max(console.width - 4, 20), subsequent_indent="  "):
            console.print(Text(f"    {part}", style="dim"), soft_wrap=True)


def _print_ran(console: Console, ran: Ran, verbose: bool) -> None:
    console.print()
    how = "does not end" if ran.status is None else f"status {ran.status}"
    console.print(Text(f"exercise {ran.name}: {how}, {ran.seconds:.1f} s"))
    lines = ran.output.rstrip().splitlines()
    if verbose:
        _indented(console, lines)
    elif ran.status != 0:
        _indented(console, lines[-SHOWN_OUTPUT:])


def _table(counts: Mapping[str, Count]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("family")
    table.add_column("acquired", justify="right")
    table.add_column("released", justify="right")
    for name, one in counts.items():
        table.add_row(name, str(one.acquired), str(one.released))
    return table


def print_excused(console: Console, told: Told) -> None:
    """What does not count, since silence would look as if nothing were there."""
    for one, why in told.suppressed.items():
        if isinstance(one, Point):
            console.print(Text(f"suppressed: failure point {one.name}, {one.outcome}: {why}"))
    for unused in told.unused:
        console.print(Text(f"suppression not used: {unused}", style="yellow"))
    if told.suppressed:
        points = sum(isinstance(one, Point) for one in told.suppressed)
        findings = len(told.suppressed) - points
        said = f"suppressed: {findings} findings, {points} failure points"
        console.print(Text(said, style="bold yellow"))


def _print_sites(console: Console, told: Told, places: Everywhere) -> None:
    """Where most memory was had at a time."""
    sites = call_sites(told.life.result.evidence.records)
    known = places.of(told.life.result)
    table = Table(box=None, pad_edge=False)
    table.add_column("acquired at", overflow="fold")
    for heading in ("family", "acquired", "released", "most", "bytes"):
        table.add_column(heading, justify="left" if heading == "family" else "right")
    for one in sites[:SHOWN_SITES]:
        place = known.get(one.site)
        counts = (one.acquired, one.released, one.most, one.most_bytes)
        table.add_row(Text(str(place) if place else "?"), one.family, *map(str, counts))
    if sites:
        console.print()
        console.print(table)
    if len(sites) > SHOWN_SITES:
        console.print(Text(f"and {len(sites) - SHOWN_SITES} more (--json has all)", style="dim"))


def _print_found(console: Console, one: Found, told: Told) -> None:
    known = told.known.get(one)
    many = f" ({one.count} times)" if one.count > 1 else ""
    console.print()
    console.print(Text.assemble((f"{one.finding.rule}: ", "bold"), sentence(one.finding), many))
    lines = list(_where(one))
    if known:
        lines.append(f"known: {known.because or 'expected'}")
    if one in told.suppressed:
        lines.append(f"suppressed: {told.suppressed[one]}")
    _indented(console, lines)


def _where(one: Found) -> Iterator[str]:
    for said, frames in (
        (one.said, one.stack),
        ("allocated at", one.allocated),
        ("released at", one.released),
    ):
        for number, frame in enumerate(frames[:SHOWN_FRAMES]):
            yield f"{said if not number else 'by':>12} {described(frame)}"


def _print_reasons(console: Console, told: Told) -> None:
    """Why it is incomplete: each once, those with a name first."""
    named = {one.message: str(one.obstacle) for one in told.life.reasons}
    began = len(told.life.result.evidence.records) > 0
    # Of a life that never began nothing can be missing.
    all_reasons = told.life.result.judgement.reasons if began else ()
    others = [text for text in all_reasons if text not in named]
    every = [*named.items(), *((text, "") for text in others)]
    for text, name in every[:MOST_SHOWN]:
        console.print()
        words = shortened(text)
        console.print(Text.assemble((f"{name}: " if name else "", "bold yellow"), words))
    if len(every) > MOST_SHOWN:
        console.print(Text(f"and {len(every) - MOST_SHOWN} more reasons (--json tells all)"))


def _summary(told: Told) -> str:
    result = told.life.result
    counts = by_family(result.evidence.records)
    acquired = sum(one.acquired for one in counts.values())
    released = sum(one.released for one in counts.values())
    reached = "" if told.life.stage is Stage.JUDGE else f", reached {told.life.stage}"
    expected = (
        ""
        if told.ok == (result.judgement.verdict is Verdict.CLEAN)
        else (", as expected" if told.ok else ", not as expected")
    )
    return (
        f"{result.scenario.name}: {result.judgement.verdict}{expected}; {acquired} acquired, "
        f"{released} released{reached}"
    )
