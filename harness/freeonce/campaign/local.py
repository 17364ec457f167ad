"""Tasks on workers of this machine: as many processes as guests may run at a time, each of which
gets a task when it has done the one before. One that dies takes no task with it but its own.
"""

import json
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait

from freeonce.campaign import identity
from freeonce.campaign.local_worker import BEAT_SECONDS, END_SECONDS
from freeonce.campaign.outcome import Outcome, from_text, killed, lacking
from freeonce.campaign.perform import perform
from freeonce.campaign.task import Running, Task, label
from freeonce.campaign.trust import DEATHS, TIMES, Trust, nobody_left
from freeonce.deadline import Deadline
from freeonce.errors import DeadlineExceeded, EvidenceError, HostError

MACHINE = "this machine"
"""What its workers lack, it lacks: they are trusted as one."""
SILENT_SECONDS = 60.0
"""A worker that says nothing for so long is stopped, or holds its interpreter, and will not end."""


@contextmanager
def local(slots: int, work: Callable[[str], str] = perform) -> Iterator[Running]:
    """What runs tasks here, `slots` at a time; its workers end with the block.

    `work`: what a worker does with a task's body; a function of a module. All that it waits for
    must have a deadline: a task may take as long as its worker is heard. One that is not heard is
    killed. What a worker that dies was doing is tried again, and so is what the host lacked
    something for, after all else. A task at which workers died so often as told by `DEATHS` is
    incomplete.

    Running it raises HostError `workers` when this machine refuses its tasks again and again, or
    no worker can be begun.
    """
    with ExitStack() as stack:
        crew = _Crew(slots, work)
        stack.callback(crew.end)
        yield crew.run


class _Worker:
    """A process, and the task that it has. `task`: given to it when it is first heard. `silent`:
    how it was ended when it was heard no more.
    """

    def __init__(self, work: Callable[[str], str], task: Task) -> None:
        self.task = task
        self.begun = False
        self.silent = ""
        self._patience = _patience()
        self.line, theirs = Pipe()
        # An interpreter that is begun with -P takes no module from where we stand.
        program = (sys.executable, "-P", "-m", "freeonce.campaign.local_worker")
        try:
            self._process = subprocess.Popen(
                (*program, str(theirs.fileno()), work.__module__, work.__qualname__),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,
                # Ctrl-C in our terminal is for us.
                start_new_session=True,
            )
        except OSError as error:
            self.line.close()
            raise HostError("no-process", f"cannot begin a worker: {error.strerror}") from error
        finally:
            theirs.close()
        self._send(json.dumps(identity.KNOWN))

    def give(self, task: Task) -> None:
        """Its next task."""
        self.task = task
        self._send(json.dumps(task.body))

    def _send(self, text: str) -> None:
        # One that is dead is found to be when it is heard.
        with suppress(OSError):
            self.line.send_bytes(text.encode())

    def heard(self) -> str | None:
        """What it says, empty when only that it is there; None: it is dead."""
        self._patience = _patience()
        try:
            return self.line.recv_bytes().decode()
        except (EOFError, OSError):
            return None

    def kill_if_silent(self) -> None:
        """It is soon heard to be dead, then."""
        # Whoever leads us may have been stopped itself: what was said meanwhile waits in the line.
        if not self._patience.is_over or self.line.poll():
            return
        self.silent = f"was killed, having said nothing for {self._patience.seconds:g} s"
        self._patience = _patience()
        self._process.kill()

    def dismiss(self) -> None:
        """It ends, soon."""
        self.line.close()

    def end(self, deadline: Deadline) -> None:
        """And then it is gone."""
        self.dismiss()
        try:
            self._process.wait(deadline.left())
        except (subprocess.TimeoutExpired, DeadlineExceeded):
            self._process.kill()
            self._process.wait()


def _patience() -> Deadline:
    return Deadline(SILENT_SECONDS, "a worker's word")


def _ending() -> Deadline:
    return Deadline(END_SECONDS, "ending workers")


class _Crew:
    """The workers at the tasks of one campaign."""

    def __init__(self, slots: int, work: Callable[[str], str]) -> None:
        self._slots = slots
        self._work = work
        self._workers: list[_Worker] = []
        self._trust = Trust()
        self._again: deque[Task] = deque()
        self._deaths: Counter[str] = Counter()
        self._unbegun = 0

    def end(self) -> None:
        """All of them."""
        for worker in self._workers:
            worker.dismiss()
        deadline = _ending()
        while self._workers:
            self._workers.pop().end(deadline)

    def run(
        self, tasks: Iterable[Task], say: Callable[[str], None] = lambda _: None
    ) -> Iterator[tuple[Task, Outcome]]:
        """Each task with its outcome, as they come."""
        waiting = iter(tasks)
        while True:
            while len(self._workers) < self._slots and (task := self._next(waiting)) is not None:
                self._workers.append(_Worker(self._work, task))
            if not self._workers:
                return
            ready = wait([one.line for one in self._workers], BEAT_SECONDS)
            for worker in [one for one in self._workers if one.line in ready]:
                task, text = worker.task, worker.heard()
                if text is None:
                    yield from self._died(worker, say)
                elif not worker.begun:
                    worker.begun, self._unbegun = True, 0
                    worker.give(task)
                elif text:
                    came = list(self._came(task, text))
                    # Before its result is kept, which takes a while.
                    self._go_on(worker, self._next(waiting))
                    yield from came
            for worker in self._workers:
                worker.kill_if_silent()

    def _next(self, waiting: Iterator[Task]) -> Task | None:
        for task in waiting:
            return task
        return self._again.popleft() if self._again else None

    def _go_on(self, worker: _Worker, task: Task | None) -> None:
        if task is None:
            self._workers.remove(worker)
            worker.end(_ending())
        else:
            worker.give(task)

    def _died(self, worker: _Worker, say: Callable[[str], None]) -> Iterator[tuple[Task, Outcome]]:
        self._go_on(worker, None)
        task = worker.task
        if worker.begun:
            self._deaths[task.key] += 1
            how = worker.silent or "died"
            called = label(task.name, task.body)
            say(f"{called}: its worker {how}, {self._deaths[task.key]} of {DEATHS} times")
        else:
            # That is nothing of the task's.
            self._unbegun += 1
            if self._unbegun == TIMES:
                message = f"no worker begins on this machine, {TIMES} died before they had"
                raise HostError("workers", f"{message}; the same command goes on")
        if self._deaths[task.key] < DEATHS:
            self._again.append(task)
        else:
            yield task, killed(worker.silent)

    def _came(self, task: Task, text: str) -> Iterator[tuple[Task, Outcome]]:
        try:
            outcome = from_text(text)
        except EvidenceError as error:
            outcome = lacking(MACHINE, "answer", str(error))
        if not outcome.by_host:
            if not outcome.refused:
                self._trust.did(MACHINE)
            yield task, outcome
            return
        if outcome.refused and self._trust.refused(MACHINE, outcome.reason):
            raise nobody_left(outcome)
        if self._trust.again(task.key, MACHINE):
            self._again.append(task)
        else:
            yield task, outcome
