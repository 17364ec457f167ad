"""Which scenarios follow each other in one guest, and whether one kept what it declared."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from freeonce.audit.model import Verdict
from freeonce.audit.phases import left_nothing
from freeonce.audit.result import Result
from freeonce.errors import CommandFailed
from freeonce.guest import Guest
from freeonce.run.conclude import doubted
from freeonce.run.task import Task

TOGETHER = 16
"""How many follow each other in one guest at most: they wait while other guests are done."""


def leaves_nothing(task: Task) -> bool:
    """Whether it is held to leave nothing: it declares so, keeps its guest, and runs unchanged."""
    return task.scenario.shares and task.scenario.ends is None and not task.options.command


def may_share(task: Task) -> bool:
    """Whether others may come before and after it in its guest."""
    return leaves_nothing(task) and task.options.repeat == 1 and not task.options.pristine


def turns(tasks: Iterable[Task], jobs: int = 1) -> Iterator[list[Task]]:
    """The tasks in their order, each alone or with those that may share a guest with it.

    Where all tasks are known they are as many turns as `jobs` at least.
    """
    most = TOGETHER
    if isinstance(tasks, Sequence):
        most = min(most, max(1, math.ceil(sum(map(may_share, tasks)) / jobs)))
    turn: list[Task] = []
    for task in tasks:
        if turn and not (_follows(turn[-1], task) and len(turn) < most):
            yield turn
            turn = []
        turn.append(task)
        if not may_share(task):
            yield turn
            turn = []
    if turn:
        yield turn


def _follows(one: Task, other: Task) -> bool:
    same = one.scenario.cpus == other.scenario.cpus
    return same and may_share(one) and may_share(other)


def spotless(result: Result) -> bool:
    """Whether nothing speaks against another in the same guest, by the verdict.

    What was found must be what it declares: that is withheld in the run, or made good at its end.
    """
    return result.as_expected and result.judgement.verdict is not Verdict.INCOMPLETE


@dataclass(frozen=True)
class Behind:
    """What a scenario came to behind `other` in one guest, in words, where it was not spotless."""

    other: str
    came_to: str


def beside(alone: Result, earlier: Behind | None) -> Result:
    """The result of a scenario that ran alone since it was not spotless behind another.

    Only where it came to the same both times does nothing speak against it.
    """
    if earlier is None or earlier.came_to == came_to(alone):
        return alone
    other = earlier.other
    reason = (
        f"the result varies, or {other} left something behind: after {other} in one guest it was"
    )
    return doubted(alone, f"{reason} {earlier.came_to}")


def came_to(result: Result) -> str:
    """Verdict, findings and reasons, in words."""
    judgement = result.judgement
    found = (
        f"{one.rule} ({one.kind})" + (f" of `{one.what}`" if one.what else "")
        for one in judgement.findings
    )
    said = "; ".join((*found, *judgement.reasons))
    return f"{judgement.verdict}: {said}" if said else str(judgement.verdict)


def left_behind(guest: Guest, result: Result) -> str:
    """What a run left in its guest since the one before, in words; empty: nothing.

    Raises GuestLost.
    """
    try:
        warned = "" if guest.sound() else "the kernel warned of something"
    except CommandFailed as error:
        warned = str(error)
    return warned if left_nothing(result.evidence.run) else "memory was broken"
