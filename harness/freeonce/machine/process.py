"""The QEMU process."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from freeonce.deadline import Deadline
from freeonce.errors import GuestLost, HostError
from freeonce.evidence.text import printable

STOP_SECONDS = 5.0
POLL_SECONDS = 0.02


class Process:
    """A running QEMU. Its own output goes to `qemu.log` in the folder."""

    def __init__(self, popen: "subprocess.Popen[bytes]", argv: Sequence[str], log: Path) -> None:
        self._popen = popen
        self._argv = argv
        self._log = log

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def check(self) -> None:
        """Raise GuestLost, with exit status, command and QEMU's output, when it has ended."""
        status = self._popen.poll()
        if status is not None:
            raise GuestLost(
                f"QEMU ended with status {status}: {self.output() or 'it said nothing'}\n"
                f"command: {shlex.join(self._argv)}"
            )

    def finish(self, deadline: Deadline) -> None:
        """Wait until it ends by itself. Raises GuestLost for another status than 0, or too late."""
        while self._popen.poll() is None:
            deadline.left()
            time.sleep(POLL_SECONDS)
        if self._popen.returncode != 0:
            self.check()

    def output(self) -> str:
        """The last lines of what QEMU itself said."""
        return "\n".join(printable(self._log.read_bytes()).splitlines()[-10:])

    def kill(self) -> None:
        """Force it to end, from whatever thread. Its owner still stops it."""
        self._popen.kill()

    def stop(self) -> None:
        """End it: first by asking, then by force."""
        self._popen.terminate()
        try:
            self._popen.wait(Deadline(STOP_SECONDS, "ending QEMU").left())
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait(Deadline(STOP_SECONDS, "killing QEMU").left())
        # It leads a session of its own: what a wrapper around QEMU left goes with it.
        with suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)


@contextmanager
def qemu_process(argv: Sequence[str], folder: Path, files: Sequence[int] = ()) -> Iterator[Process]:
    """Start QEMU, which inherits `files`; end it when the block ends.

    Raises HostError when there is no such program.
    """
    log = folder / "qemu.log"
    with log.open("wb") as output:
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
        yield process
    finally:
        process.stop()
