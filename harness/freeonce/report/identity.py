"""What of a finding is the same in every run and build: no address, number or line. Pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from freeonce.audit.points import Outcome, Point
from freeonce.report.found import Found, Traces, found
from freeonce.subject.places import Frame, choose

DIGITS = 16
FINE = {Outcome.HANDLED, Outcome.UNREACHED}
"""Of a failure point: nothing was found. (That it was not reached is told elsewhere.)"""


@dataclass(frozen=True)
class Named:
    """Something that was found. `rule`: or what became of a failure point, as `crashed`.

    `module`, `function`: of the frame that a person looks for, empty where none is known.
    `identity`: equal in every run and build that finds the same.
    """

    rule: str
    family: str
    module: str
    function: str
    identity: str


def named(life: str, rule: str, family: str, frames: Sequence[Frame]) -> Named:
    """Of what was found at a stack. `life`: tells apart what has none."""
    # What a compiler took inline is known only with debug info; the kernel has other names.
    own = [f"{one.module}!{plain(one.function)}" for one in frames if one.module and one.offset]
    digest = hashlib.sha256("\0".join((rule, family, *(own or [life]))).encode())
    place = choose(frames)
    module, function = (place.frame.module, plain(place.frame.function)) if place else ("", "")
    return Named(rule, family, module, function, digest.hexdigest()[:DIGITS])


def plain(function: str) -> str:
    """Without what a compiler adds: `probe.constprop.0`, `probe.cold`."""
    return function.partition(".")[0]


def of_found(life: str, one: Found) -> Named:
    """A finding of a life."""
    return named(life, str(one.finding.rule), one.finding.kind, one.stack)


def of_point(life: str, point: Point, traces: Traces) -> tuple[Named, ...]:
    """What is wrong with a failure point: its findings, or else what became of it, at the stack of
    the acquisition that failed.
    """
    if point.outcome in FINE:
        return ()
    findings = found(point.result.judgement.findings, traces)
    if findings and point.outcome not in (Outcome.CRASHED, Outcome.HUNG, Outcome.UNKNOWN):
        return tuple(of_found(life, one) for one in findings)
    return (named(life, str(point.outcome), "", traces.get(point.site, ())),)
