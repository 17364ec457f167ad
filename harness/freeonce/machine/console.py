"""The guest's console (ttyS0): its kernel's words, and our init's "ready".

Each line goes to the logger HEARD as well, for who wants to listen while the guest runs.
"""

import logging
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
from pexpect.fdpexpect import fdspawn

from freeonce.deadline import Deadline
from freeonce.evidence.text import printable

TAIL_BYTES = 32768
POLL_SECONDS = 0.2
DRAIN_READS = 64
LONGEST_LINE = 4096
HEARD = logging.getLogger("freeonce.console")
WRONG = re.compile(r"\bBUG: |kernel BUG at|\bOops\b|Kernel panic|general protection fault")


class _Tail:
    """The last bytes written. A guest may talk without end; we do not keep all of it."""

    def __init__(self) -> None:
        self.data = b""
        self._begun = b""

    def write(self, data: bytes) -> None:
        self.data = (self.data + data)[-TAIL_BYTES:]
        if HEARD.isEnabledFor(logging.INFO):
            *lines, self._begun = (self._begun + data).split(b"\n")
            self._begun = self._begun[-LONGEST_LINE:]
            for line in lines:
                HEARD.info("%s", printable(line).rstrip())

    def flush(self) -> None:
        pass


class Console:
    """What the guest prints."""

    def __init__(self, spawn: "fdspawn[bytes]") -> None:
        self._spawn = spawn
        self._tail = _Tail()
        spawn.logfile_read = self._tail
        self._waiting = False

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

    def lines(self, deadline: Deadline) -> Iterator[str]:
        """Each line as it comes, until QEMU closes its end. Raises DeadlineExceeded."""
        wanted: list[bytes | type[pexpect.TIMEOUT] | type[pexpect.EOF]]
        wanted = [b"\n", pexpect.TIMEOUT, pexpect.EOF]
        while True:
            found = self._spawn.expect_exact(wanted, timeout=min(POLL_SECONDS, deadline.left()))
            if found == 0:
                yield printable(self._spawn.before or b"").strip()
            elif found == 2:
                return
            # Of a line without an end we do not keep all.
            self._spawn.buffer = self._spawn.buffer[-TAIL_BYTES:]

    def drain(self) -> None:
        """Take in what was printed, so that the guest never waits for us.

        Not while somebody waits for a text: it would be lost to them.
        """
        if self._waiting:
            return
        try:
            # Bounded: a guest that never stops talking is not to keep us here.
            for _ in range(DRAIN_READS):
                self._spawn.read_nonblocking(TAIL_BYTES, timeout=0)
        except (pexpect.TIMEOUT, pexpect.EOF, OSError):
            # At an end, whichever it is, there is nothing more to take in.
            pass

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
        reader = Console(fdspawn(line, timeout=None, maxread=TAIL_BYTES))
        try:
            yield reader
        finally:
            reader.drain()
