"""The QEMU process."""

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

from freeonce.deadline import Deadline
from freeonce.errors import DeadlineExceeded, GuestLost, HostError
from freeonce.evidence.text import printable

STOP_SECONDS = 5.0
POLL_SECONDS = 0.02
SHORTEST_POLL_SECONDS = 0.0005


class QemuEnded(GuestLost):
    """QEMU is no longer there. `status`: as subprocess gives it, less than 0 after a signal."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def _how(status: int) -> str:
    if status >= 0:
        return f"QEMU ended with status {status}"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else str(-status)
    return f"QEMU was ended by signal {name}"


class Process:
    """A running QEMU. Its own output goes to `qemu.log` in the folder.

    Nobody but `stop` reaps it: until then its number, and that of its group, is no other's.
    """

    def __init__(self, popen: "subprocess.Popen[bytes]", argv: Sequence[str], log: Path) -> None:
        self._popen = popen
        self._argv = argv
        self._log = log
        self._signals = threading.Lock()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def _status(self) -> int | None:
        """How it ended, without reaping it; None while it runs."""
        if self._popen.returncode is not None:
            return self._popen.returncode
        ended = os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def check(self) -> None:
        """Raise QemuEnded, with its status, command and words, when it has ended."""
        status = self._status()
        if status is not None:
            said = self.output() or "it said nothing"
            raise QemuEnded(f"{_how(status)}: {said}\ncommand: {shlex.join(self._argv)}", status)

    def finish(self, deadline: Deadline) -> None:
        """Wait until it ends by itself. Raises GuestLost for another status than 0, or too late."""
        while self._status() is None:
            deadline.left()
            time.sleep(POLL_SECONDS)
        if self._status() != 0:
            self.check()

    def output(self) -> str:
        """The last lines of what QEMU itself said."""
        return "\n".join(printable(self._log.read_bytes()).splitlines()[-10:])

    def kill(self) -> None:
        """Force it to end, from whatever thread. Its owner still stops it."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals, whom: Callable[[int, int], None] = os.kill) -> None:
        with self._signals:
            if self._popen.returncode is None:
                whom(self._popen.pid, number)

    def stop(self) -> None:
        """End it: first by asking, then by force."""
        self._send(signal.SIGTERM)
        if not self._ends(Deadline(STOP_SECONDS, "ending QEMU")):
            self._send(signal.SIGKILL)
            self._ends(Deadline(STOP_SECONDS, "killing QEMU"))
        # It leads a session of its own: what a wrapper around QEMU left goes with it.
        self._send(signal.SIGKILL, os.killpg)
        with self._signals:
            self._popen.wait(Deadline(STOP_SECONDS, "reaping QEMU").left())

    def _ends(self, deadline: Deadline) -> bool:
        """Whether it ends in time."""
        pause = SHORTEST_POLL_SECONDS
        with suppress(DeadlineExceeded):
            while self._status() is None:
                time.sleep(min(pause, deadline.left()))
                pause = min(2 * pause, POLL_SECONDS)
        return self._status() is not None


_OBSERVER: ContextVar[Callable[[Process], None] | None] = ContextVar("observer", default=None)


@contextmanager
def observed(observer: Callable[[Process], None]) -> Iterator[None]:
    """Within the block `observer` gets each QEMU that this thread starts, as soon as it runs."""
    token = _OBSERVER.set(observer)
    try:
        yield
    finally:
        _OBSERVER.reset(token)


def _log(file: Path) -> BinaryIO:
    try:
        return file.open("wb")
    except OSError as error:
        raise HostError("no-scratch", f"cannot write {file}: {error.strerror}") from error


def announce(process: Process) -> None:
    """Tell who observes."""
    observer = _OBSERVER.get()
    if observer is not None:
        observer(process)


@contextmanager
def qemu_process(argv: Sequence[str], folder: Path, files: Sequence[int] = ()) -> Iterator[Process]:
    """Start QEMU, which inherits `files`; end it when the block ends.

    Raises HostError when there is no such program.
    """
    log = folder / "qemu.log"
    with _log(log) as output:
        try:
            popen = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=files,
                # Ctrl-C in our terminal is for us; we then end QEMU in order.
                start_new_session=True,
            )
        except OSError as error:
            raise HostError("no-qemu", f"cannot start {argv[0]}: {error.strerror}") from error
    process = Process(popen, argv, log)
    try:
        announce(process)
        yield process
    finally:
        process.stop()
