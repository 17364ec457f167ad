"""Tasks on workers of this machine: as many processes as guests may run at a time, each of which
gets a task when it has done the one before. One that dies takes no task with it but its own.
"""

import json
import os
import socket
import struct
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import wait

from freeonce.campaign import identity
from freeonce.campaign.local_worker import BEAT_SECONDS, END_SECONDS
from freeonce.campaign.outcome import Outcome, from_text, killed, lacking
from freeonce.campaign.perform import perform
from freeonce.campaign.task import Running, Task, label
from freeonce.campaign.trust import DEATHS, TIMES, Trust, nobody_left
from freeonce.deadline import Deadline
from freeonce.errors import EvidenceError, HostError

MACHINE = "this machine"
"""What its workers lack, it lacks: they are trusted as one."""
SILENT_SECONDS = 12 * BEAT_SECONDS
"""After which a worker that says nothing, not even that it lives, is ended as a dead one is."""
BEGIN_SECONDS = 120.0
"""Likewise for one that does not begin."""


@contextmanager
def local(slots: int, work: Callable[[str], str] = perform) -> Iterator[Running]:
    """What runs tasks here, `slots` at a time; its workers end with the block.

    `work`: what a worker does with a task's body; a function of a module. What a worker that dies
    was doing is tried again, and so is what the host lacked something for, after all else. A task
    at which workers died so often as told by `DEATHS` is incomplete. One that is silent for
    `SILENT_SECONDS`, since somebody stopped it, say, is ended, and counts as dead.

    Running it raises HostError `workers` when this machine refuses its tasks again and again, or
    no worker can be begun.
    """
    with ExitStack() as stack:
        crew = _Crew(slots, work)
        stack.callback(crew.end)
        yield crew.run


class _Worker:
    """A process, and the task that it has. `task`: given to it when it says that it has begun.
    `ended`: how, if not by itself.
    """

    def __init__(self, work: Callable[[str], str], task: Task) -> None:
        self.task = task
        self.begun = False
        self.ended = ""
        self.line, theirs = Pipe()
        _bound(self.line.fileno(), _silence().seconds)
        self._silence = Deadline(BEGIN_SECONDS, "the begin of a worker")
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

    @property
    def silent(self) -> bool:
        """Whether it should have said something by now."""
        # Where we ourselves were stopped, what it said meanwhile waits in the line.
        return self._silence.is_over and not self.line.poll()

    def _send(self, text: str) -> None:
        try:
            self.line.send_bytes(text.encode())
        except BlockingIOError:
            # It has a part at most, and would wait for the rest, alive, if it were let go on.
            self.kill()
        except OSError:
            # That it is dead is found when it is heard.
            return

    def heard(self) -> str | None:
        """What it says, empty when it has begun and as long as it lives; None: it is dead."""
        try:
            text = self.line.recv_bytes().decode()
            self._silence = _silence()
            return text
        except BlockingIOError:
            # Stopped in the middle of its answer, most likely: it does not end by itself.
            self.kill()
            return None
        except (EOFError, OSError):
            return None

    def kill(self) -> None:
        """It ends now; it is not to be waited for."""
        self.ended = f"was killed after it was silent for {self._silence.seconds:g} s"
        self._process.kill()

    def dismiss(self) -> None:
        """It ends, soon."""
        self.line.close()

    def end(self) -> None:
        """And then it is gone."""
        self.dismiss()
        try:
            self._process.wait(Deadline(END_SECONDS, "ending a worker").left())
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _silence() -> Deadline:
    return Deadline(SILENT_SECONDS, "a worker's silence")


def _bound(descriptor: int, seconds: float) -> None:
    """A worker may be stopped in the middle of its answer, or before it takes a task: neither is
    waited for any longer (SO_RCVTIMEO and SO_SNDTIMEO, socket(7)).
    """
    whole, part = divmod(seconds, 1)
    time = struct.pack("@ll", int(whole), int(part * 1e6))
    with socket.socket(fileno=os.dup(descriptor)) as line:
        for way in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            line.setsockopt(socket.SOL_SOCKET, way, time)


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
        while self._workers:
            self._workers.pop().end()

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
            for worker in list(self._workers):
                if worker.line not in ready:
                    if worker.silent:
                        worker.kill()
                        yield from self._died(worker, say)
                    continue
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

    def _next(self, waiting: Iterator[Task]) -> Task | None:
        for task in waiting:
            return task
        return self._again.popleft() if self._again else None

    def _go_on(self, worker: _Worker, task: Task | None) -> None:
        if task is None:
            self._workers.remove(worker)
            worker.end()
        else:
            worker.give(task)

    def _died(self, worker: _Worker, say: Callable[[str], None]) -> Iterator[tuple[Task, Outcome]]:
        self._go_on(worker, None)
        task = worker.task
        if worker.begun:
            self._deaths[task.key] += 1
            how = f"its worker {worker.ended or 'died'}, {self._deaths[task.key]} of {DEATHS} times"
            say(f"{label(task.name, task.body)}: {how}")
        else:
            # That is nothing of the task's.
            self._unbegun += 1
            if self._unbegun == TIMES:
                message = f"no worker starts on this machine: {TIMES} died before they had"
                raise HostError("workers", f"{message}; the same command continues")
        if self._deaths[task.key] < DEATHS:
            self._again.append(task)
        else:
            yield task, killed(worker.ended)

    def _came(self, task: Task, text: str) -> Iterator[tuple[Task, Outcome]]:
        try:
            outcome = from_text(text, task.body.get("kind"))
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
