"""The guest's console (ttyS0): its kernel's words, and our init's "ready".

Each line goes to the logger HEARD as well, for who wants to listen while the guest runs.
"""

import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pexpect
from pexpect.fdpexpect import fdspawn

from freeonce.deadline import Deadline
from freeonce.evidence.text import printable

READY = "freeonce: ready"
"""What our init says when the guest can be worked with."""
MISJUDGED = "freeonce: the clock is misjudged"
"""What it says before where the guest's time runs several times too fast."""
TAIL_BYTES = 32768
POLL_SECONDS = 0.2
DRAIN_READS = 64
LONGEST_LINE = 4096
JOINED_LINES = 24
"""What somebody who joins is shown of what was said before."""
HEARD = logging.getLogger("freeonce.console")
Listener = Callable[[bytes], None]
WRONG = re.compile(r"\bBUG: |kernel BUG at|\bOops\b|Kernel panic|general protection fault")


class _Tail:
    """The last bytes written. A guest may talk without end; we do not keep all of it."""

    def __init__(self) -> None:
        self.data = b""
        self.listeners: list[Listener] = []
        self._begun = b""

    def write(self, data: bytes) -> None:
        self.data = (self.data + data)[-TAIL_BYTES:]
        for listener in self.listeners:
            listener(data)
        if HEARD.isEnabledFor(logging.INFO):
            *lines, self._begun = (self._begun + data).split(b"\n")
            self._begun = self._begun[-LONGEST_LINE:]
            for line in lines:
                HEARD.info("%s", printable(line).rstrip())

    def flush(self) -> None:
        pass


class Console:
    """What the guest prints. `drain`, `join`, `leave` and `send` from whatever thread."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._spawn: fdspawn[bytes] = fdspawn(line, timeout=None, maxread=TAIL_BYTES)
        self._tail = _Tail()
        self._spawn.logfile_read = self._tail
        self._waiting = False
        self._lock = threading.RLock()

    def fileno(self) -> int:
        """What to wait on for more to drain."""
        return self._line.fileno()

    def wait_for(self, text: str, deadline: Deadline, check: Callable[[], None]) -> None:
        """Read until `text`. `check` is called again and again and may raise GuestLost."""
        self._waiting = True
        wanted: list[bytes | type[pexpect.TIMEOUT] | type[pexpect.EOF]]
        wanted = [text.encode(), pexpect.TIMEOUT, pexpect.EOF]
        try:
            while True:
                check()
                seconds = min(POLL_SECONDS, deadline.left())
                if self._spawn.expect_exact(wanted, timeout=seconds) == 0:
                    return
                # Forget what does not hold the text, but for a tail that may begin it.
                self._spawn.buffer = self._spawn.buffer[-len(text) :]
        finally:
            self._waiting = False

    def lines(
        self, deadline: Deadline, silent: Callable[[float], None] = lambda _: None
    ) -> Iterator[str]:
        """Each line as it comes, until QEMU closes its end. Raises DeadlineExceeded.

        `silent` is called again and again while none comes, with the seconds since the last.
        """
        wanted: list[bytes | type[pexpect.TIMEOUT] | type[pexpect.EOF]]
        wanted = [b"\n", pexpect.TIMEOUT, pexpect.EOF]
        last = time.monotonic()
        while True:
            found = self._spawn.expect_exact(wanted, timeout=min(POLL_SECONDS, deadline.left()))
            if found == 0:
                last = time.monotonic()
                yield printable(self._spawn.before or b"").strip()
            elif found == 2:
                return
            else:
                silent(time.monotonic() - last)
            # Of a line without an end we do not keep all.
            self._spawn.buffer = self._spawn.buffer[-TAIL_BYTES:]

    def drain(self) -> bool:
        """Take in what was printed, so that the guest never waits for us. False at its end.

        Not while somebody waits for a text: it would be lost to them.
        """
        if self._waiting:
            return True
        try:
            with self._lock:
                # Bounded: a guest that never stops talking is not to keep us here.
                for _ in range(DRAIN_READS):
                    self._spawn.read_nonblocking(TAIL_BYTES, timeout=0)
        except pexpect.TIMEOUT:
            return True
        except (pexpect.EOF, OSError):
            return False
        return True

    def join(self, listener: Listener) -> None:
        """From now on `listener` is called with what is printed; first with the last lines."""
        with self._lock:
            lines = self._tail.data.splitlines(keepends=True)
            listener(b"".join(lines[-JOINED_LINES:]))
            self._tail.listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        """It is called no more."""
        with self._lock:
            self._tail.listeners.remove(listener)

    def send(self, data: bytes) -> None:
        """Type. What a guest that stands still does not take is lost: nobody waits for it."""
        with suppress(OSError):
            self._line.send(data, socket.MSG_DONTWAIT)

    def tail(self, lines: int = 60) -> str:
        """The last lines, without control characters.

        From where the kernel began to say what is wrong: an oops is longer than a screen,
        and what matters stands at its top.
        """
        self.drain()
        said = printable(self._tail.data).splitlines()
        for index, line in enumerate(said):
            if WRONG.search(line):
                return "\n".join(said[index : index + lines])
        return "\n".join(said[-lines:])


@contextmanager
def console(folder: Path) -> Iterator[Console]:
    """Connect to `console.sock`; close it when the block ends."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(folder / "console.sock"))
        reader = Console(line)
        try:
            yield reader
        finally:
            reader.drain()
