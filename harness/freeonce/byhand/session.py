"""One guest at a time for somebody who works with it by hand, and the run that was begun in it."""

import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from freeonce.audit.result import Result
from freeonce.errors import UsageError
from freeonce.evidence.ledger import Header
from freeonce.evidence.scenarios import Scenario
from freeonce.run.choose import hint
from freeonce.run.conclude import conclude
from freeonce.run.hear import collect
from freeonce.run.task import Boot


@dataclass(frozen=True)
class Begun:
    """A run that nobody judged yet: its scenario, the ledger before it, and how long it took."""

    scenario: Scenario
    before: Header
    seconds: float


class Session(AbstractContextManager["Session"]):
    """A guest, replaced by another when asked to. It goes when the session ends."""

    def __init__(self, make: Boot) -> None:
        self._make = make
        self._guests = ExitStack()
        self._run: Begun | None = None
        self._result: Result | None = None
        self._fit = True
        self.guest = self._guests.enter_context(make())

    def __exit__(self, *_: object) -> None:
        self._guests.close()

    def fresh(self) -> None:
        """Another guest in place of this one."""
        self._guests.close()
        self._run = self._result = None
        self._fit = True
        self.guest = self._guests.enter_context(self._make())

    def find(self, name: str) -> Scenario:
        """The scenario of that name. Raises UsageError."""
        scenarios = {one.name: one for one in self.guest.scenarios()}
        if name not in scenarios:
            raise UsageError(f"no scenario is called {name!r}; {hint(name, list(scenarios))}")
        return scenarios[name]

    def run(self, name: str) -> int:
        """Run it, and leave what it left to be looked at. How many records it wrote.

        Raises UsageError when the guest is paused, and could not answer, or is used up.
        """
        if not self._fit:
            raise UsageError("the last run left this guest unfit; `fresh` starts another")
        scenario = self.find(name)
        if self.guest.monitor.status() == "paused":
            raise UsageError("the guest is paused; `resume` lets it run")
        before = self.guest.header()
        self._run = self._result = None
        start = time.monotonic()
        self.guest.run(name)
        self._run = Begun(scenario, before, time.monotonic() - start)
        return self.guest.header().count - before.count

    def audit(self) -> Result:
        """Judge the last run; it is settled by that. Raises UsageError when there is none."""
        if self._result is None:
            self._result = self._judge()
        return self._result

    def _judge(self) -> Result:
        if self._run is None:
            raise UsageError("no run to judge; `run NAME` makes one")
        if self.guest.monitor.status() == "paused":
            raise UsageError("the guest is paused; `resume` lets it report its account")
        evidence, self._fit = collect(self.guest, self._run.before)
        features = self.guest.config.features
        return conclude(self._run.scenario, evidence, self._run.seconds, features)
