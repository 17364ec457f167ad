"""Who runs a campaign's scenarios: one guest for all, or clones, some at a time."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from queue import Empty, SimpleQueue

from freeonce.audit.result import NOTHING, Evidence, Result
from freeonce.errors import GuestLost, HostError
from freeonce.guest import Guest
from freeonce.machine.argv import MIB
from freeonce.project.host import cores, free_memory
from freeonce.run.campaign import run_one
from freeonce.run.conclude import conclude
from freeonce.run.sharing import Behind, beside, came_to, spotless, turns
from freeonce.run.started import Started
from freeonce.run.task import Boot, BootWith, Scenarios, Starting, Task

AHEAD = 16
"""Tasks a worker that may be done before the result that is reported next."""
CLONE_BYTES = 64 * MIB
"""QEMU's own part of a clone: the code that it made of the guest's, and its heap."""
ROOM_SECONDS = 0.2
HEAD_START_SECONDS = 1.0
"""For which the first has the machine to itself at most: its verdict is what a user waits for."""
SLICE_SECONDS = 0.1
NO_GUEST = "no new guest could be started"


def default_jobs(guest_bytes: int) -> int:
    """Clones at a time: one a core, as far as memory goes even if each writes to all of its own."""
    return max(1, min(cores(), free_memory() // (guest_bytes + CLONE_BYTES)))


class SharedGuest(AbstractContextManager["SharedGuest"]):
    """One guest for all scenarios; a guest that is lost is replaced."""

    def __init__(self, boot: Boot) -> None:
        self._boot = boot
        self._guests = ExitStack()
        self._guest: Guest | None = None

    def __exit__(self, *_: object) -> None:
        self._guests.close()

    def scenarios(self) -> Scenarios:
        """Raises GuestLost or HostError when not even the first guest can be had."""
        return self._fit().scenarios()

    def _fit(self) -> Guest:
        if self._guest is None:
            self._guests.close()
            self._guest = self._guests.enter_context(self._boot())
        return self._guest

    def run(self, tasks: Iterable[Task], starting: Starting) -> Iterator[Result]:
        """The results in the order of the tasks."""
        for task in tasks:
            starting(task.scenario)
            try:
                guest = self._fit()
            except (GuestLost, HostError) as error:
                yield _without_guest(task, error)
                continue
            result, fit = run_one(guest, task.scenario, task.options)
            if not fit:
                self._guest = None
            yield result


class Pristine(AbstractContextManager["Pristine"]):
    """A guest of its own for each scenario, or for some that share one; `jobs` at a time at most.

    `make` makes guests with so many CPUs, `known` are their scenarios. No new one is begun while
    less than `room` bytes of memory are free and another still runs.
    """

    def __init__(
        self,
        make: BootWith,
        known: Callable[[], Scenarios],
        jobs: int = 1,
        room: int = 0,
        free: Callable[[], int] = free_memory,
    ) -> None:
        self._make = make
        self._known = known
        self._jobs = jobs
        self._room = room
        self._free = free
        self._running = 0
        self._head_start: float | None = None
        self._started = Started()
        self._over = False
        self._changed = threading.Condition()
        self._pool = ThreadPoolExecutor(jobs)

    def __exit__(self, *_: object) -> None:
        """Whoever still runs is ended, not waited for."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._started.end()
        self._pool.shutdown(cancel_futures=True)

    def scenarios(self) -> Scenarios:
        """Without a guest, when its template knows them."""
        return self._known()

    def run(self, tasks: Iterable[Task], starting: Starting) -> Iterator[Result]:
        """The results in the order of the tasks, whichever is done first."""
        pending: deque[Answer] = deque()
        for turn in turns(tasks, self._jobs):
            answers: list[Answer] = [SimpleQueue() for _ in turn]
            first = self._head_start is None
            if first:
                self._head_start = time.monotonic() + HEAD_START_SECONDS
            self._pool.submit(self._answer, turn, answers, first, starting)
            pending.extend(answers)
            while pending and (not pending[0].empty() or len(pending) > AHEAD * self._jobs):
                yield _wait(pending.popleft())
        while pending:
            yield _wait(pending.popleft())

    def _answer(
        self, turn: list[Task], answers: "list[Answer]", first: bool, starting: Starting
    ) -> None:
        done = 0
        earlier: Behind | None = None
        try:
            while done < len(turn):
                with self._turn(first):
                    for place, result in enumerate(self._in_one_guest(turn[done:], starting)):
                        if place and not spotless(result):
                            # It runs again, alone: where it was, it was not pristine.
                            earlier = Behind(turn[done - 1].scenario.name, came_to(result))
                            continue
                        answers[done].put(beside(result, earlier))
                        earlier = None
                        done += 1
                        if first:
                            self._let_others_go()
                first = False
        except BaseException as error:
            for answer in answers[done:]:
                answer.put(error)

    def _in_one_guest(self, turn: list[Task], starting: Starting) -> Iterator[Result]:
        """The results of the first, and of those behind it up to one that is not spotless."""
        told = 0
        try:
            with self._started.noted(), self._make(turn[0].scenario.cpus) as guest:
                for task in turn:
                    starting(task.scenario)
                    if self._over:
                        raise GuestLost("the campaign is over")
                    result, fit = run_one(guest, task.scenario, task.options)
                    yield result
                    told += 1
                    if not (fit and spotless(result)):
                        return
        except (GuestLost, HostError) as error:
            if not told:
                yield _without_guest(turn[0], error)

    @contextmanager
    def _turn(self, first: bool) -> Iterator[None]:
        """Wait while another has its head start, and until there is memory for one more.

        Without memory nobody waits when there is nobody else who could give some back.
        """
        with self._changed:
            while not first and not self._over and (self._held_back() or self._no_room()):
                self._changed.wait(ROOM_SECONDS)
            if self._over:
                raise GuestLost("the campaign is over")
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _let_others_go(self) -> None:
        with self._changed:
            self._head_start = 0.0
            self._changed.notify_all()

    def _held_back(self) -> bool:
        return self._head_start is not None and time.monotonic() < self._head_start

    def _no_room(self) -> bool:
        return self._running > 0 and self._free() < self._room


Answer = SimpleQueue[Result | BaseException]
"""Of one task. Not a Future: a signal that ends us while we ask one may leave its lock taken, and
then its worker, for whom we wait, never ends."""


def _wait(answer: Answer) -> Result:
    """In slices: Python sees a signal that comes just before a wait only after it."""
    while True:
        try:
            result = answer.get(timeout=SLICE_SECONDS)
        except Empty:
            continue
        if isinstance(result, BaseException):
            raise result
        return result


def _without_guest(task: Task, error: Exception) -> Result:
    """What was won so far is not lost with it."""
    reason = f"{NO_GUEST}: {error}"
    return conclude(task.scenario, Evidence(NOTHING, doubts=(reason,)), 0.0)
