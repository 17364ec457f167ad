"""What of a finding is the same in every run and build: no address, number or line. Pure."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from freeonce.audit.points import Outcome, Point
from freeonce.report.found import Found, Traces, found
from freeonce.subject.places import Frame, choose

DIGITS = 16
FINE = {Outcome.HANDLED, Outcome.UNREACHED}
"""Of a failure point: nothing was found. (That it was not reached is told elsewhere.)"""
PLAIN, FAILURE = "plain", "failure"
"""When something was found: in a life without failures, or in one with."""
_ADDED = re.compile(r"(\.(isra|part|constprop|cold|llvm)(\.\d+)*)+$")


@dataclass(frozen=True)
class Named:
    """Something that was found. `rule`: or what became of a failure point, as `crashed`.

    `module`, `function`: of the frame that a person looks for, empty where none is known.
    `identity`: equal in every run and build that finds the same; empty where no stack is known,
    since then nothing tells it from others. `when`: PLAIN or FAILURE; `failed`: the function
    that made the acquisition that failed.
    """

    rule: str
    family: str
    module: str
    function: str
    identity: str
    when: str = PLAIN
    failed: str = ""


def named(
    life: str,
    rule: str,
    family: str,
    frames: Sequence[Frame],
    failed: Sequence[Frame] | None = None,
) -> Named:
    """Of what was found at a stack. `failed`: that of the acquisition that failed, None in a plain
    life. `life`: tells apart what only the kernel's functions are known of.
    """
    place, cause = choose(frames), choose(failed or ())
    module, function = (place.frame.module, plain(place.frame.function)) if place else ("", "")
    stacks = [frames] if failed is None else [frames, failed]
    identity = ""
    if all(stacks):
        parts = [rule, family, *("\0".join(_functions(life, one)) for one in stacks)]
        identity = hashlib.sha256("\0\0".join(parts).encode()).hexdigest()[:DIGITS]
    when = PLAIN if failed is None else FAILURE
    by = plain(cause.frame.function) if cause else ""
    return Named(rule, family, module, function, identity, when, by)


def _functions(life: str, frames: Sequence[Frame]) -> list[str]:
    """The module's own. What a compiler took inline is known only with debug info; the functions
    of the kernel differ from one to the next.
    """
    own = [f"{one.module}!{plain(one.function)}" for one in frames if one.module and one.offset]
    return own or [life, *(one.function for one in frames)]


def plain(function: str) -> str:
    """Without what a compiler adds: `probe.constprop.0`, `probe.cold`."""
    return _ADDED.sub("", function)


def of_found(life: str, one: Found, failed: Sequence[Frame] | None = None) -> Named:
    """A finding of a life."""
    return named(life, str(one.finding.rule), one.finding.kind, one.stack, failed)


def of_point(life: str, point: Point, traces: Traces) -> tuple[Named, ...]:
    """All that is wrong with a failure point: its findings, and what became of it where that is
    more than they say. Of one that is not known nothing can be judged.
    """
    if point.outcome in FINE:
        return ()
    failed = traces.get(point.site, ())
    every = found(point.result.judgement.findings, traces)
    names = tuple(of_found(life, one, failed) for one in every)
    if point.outcome is Outcome.UNKNOWN:
        return (Named(str(point.outcome), "", "", "", "", FAILURE), *names)
    if point.outcome in (Outcome.CRASHED, Outcome.HUNG) or not names:
        return (named(life, str(point.outcome), "", failed, failed), *names)
    return names
