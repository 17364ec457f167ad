"""Which scenarios follow each other in one guest, and whether one kept what it declared."""

import errno
from collections.abc import Iterable, Iterator

from freeonce.audit.model import Verdict
from freeonce.audit.phases import left_nothing
from freeonce.audit.result import Result
from freeonce.errors import CommandFailed
from freeonce.guest import Guest
from freeonce.run.task import Task

TOGETHER = 16
"""In one guest at most: what is done at once for others is still waited for by these."""


def leaves_nothing(task: Task) -> bool:
    """Whether it is held to that: it declares so, nothing must be found, and nothing fails."""
    scenario = task.scenario
    clean = not scenario.expected and scenario.ends is None
    return scenario.shares and clean and not task.options.command


def may_share(task: Task) -> bool:
    """Whether others may come before and after it in its guest."""
    return leaves_nothing(task) and task.options.repeat == 1 and not task.options.pristine


def turns(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    """The tasks in their order, each alone or with those that may share a guest with it."""
    turn: list[Task] = []
    for task in tasks:
        if turn and not (_follows(turn[-1], task) and len(turn) < TOGETHER):
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
    """Whether nothing speaks against another in the same guest, by the verdict."""
    fine = result.judgement.verdict in (Verdict.CLEAN, Verdict.UNSUPPORTED)
    return fine and result.as_expected


def left_behind(guest: Guest, result: Result) -> str:
    """What a run that seems clean left in its guest, in words; empty: nothing. Raises GuestLost."""
    if not left_nothing(result.evidence.run):
        return "memory or releases are not as before"
    try:
        guest.ask("sound")
    except CommandFailed as error:
        return "the kernel warned of something" if error.error == errno.EUCLEAN else str(error)
    return ""
