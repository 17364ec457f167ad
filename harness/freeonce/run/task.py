"""What is to run, how, and what can run it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from freeonce.audit.result import Result
from freeonce.evidence.scenarios import Scenario
from freeonce.guest import COMMAND_SECONDS, Guest

Scenarios = tuple[Scenario, ...]

Boot = Callable[[], AbstractContextManager[Guest]]
"""Makes a fresh guest."""

BootWith = Callable[[int], AbstractContextManager[Guest]]
"""Makes one for what needs so many CPUs."""

Starting = Callable[[Scenario], None]
"""Is told what runs now, from whichever thread runs it."""


@dataclass(frozen=True)
class Options:
    """How a scenario is run. `command`: words for the guest's `run` file, as `fail=2`.

    `seconds`: how long it may take. `repeat`: how often it is run. `faults`: whether the
    planted faults run, by themselves or beside what is named. `sections`: patterns of sections
    that run too. `again`: names that run too, if there are such scenarios still. `pristine`: each
    in a guest of its own, also those that share.
    """

    command: str = ""
    seconds: float = COMMAND_SECONDS
    repeat: int = 1
    faults: bool = True
    sections: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    pristine: bool = False


PLAIN = Options()


@dataclass(frozen=True)
class Task:
    """One run of a scenario."""

    scenario: Scenario
    options: Options


class Crew(Protocol):
    """Has guests, and runs scenarios in them."""

    def scenarios(self) -> Scenarios:
        """All that there are, in the guest's order."""

    def run(self, tasks: Iterable[Task], starting: Starting) -> Iterator[Result]:
        """The results in the order of the tasks. A lost guest costs only its own scenario."""
