"""The guest's control line (ttyS1): scenarios are run by it. Format: guest/LEDGER.md."""

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from freeonce.deadline import Deadline
from freeonce.errors import CommandFailed, GuestLost, Loss
from freeonce.evidence.text import printable

LINE_BYTES = 256
POLL_SECONDS = 0.1
ANSWER = re.compile(rb"(\d{1,10}) (\d{1,4})\n")


class Control:
    """One request at a time, each with its own number, which its answer must bear.

    `check` is called while we wait and may raise GuestLost.
    """

    def __init__(self, line: socket.socket, check: Callable[[], None]) -> None:
        self._line = line
        self._check = check
        self._number = 0
        self._heard = b""

    def ask(self, request: str, deadline: Deadline) -> None:
        """Have the guest do it.

        Raises CommandFailed when it cannot, GuestLost when it does not answer, or with
        anything but an answer.
        """
        line = self._numbered(request)
        try:
            self._send(line, deadline)
            answer = self._answer(deadline)
        except OSError as error:
            self._check()
            deadline.left()
            raise GuestLost(f"control line: {error}", loss=Loss.CONTROL) from error
        said = ANSWER.fullmatch(answer)
        if said is None or int(said[1]) != self._number:
            words = printable(answer).strip()
            raise GuestLost(f"control line: {words!r} is no answer", loss=Loss.CONTROL)
        if int(said[2]):
            message = f"{request!r}: the guest says: {os.strerror(int(said[2]))}"
            raise CommandFailed(message, int(said[2]))

    def tell(self, request: str, deadline: Deadline) -> None:
        """Send the last request of all: nobody waits for its answer.

        Raises CommandFailed when it is no line, GuestLost when QEMU is gone.
        """
        line = self._numbered(request)
        try:
            self._send(line, deadline)
        except OSError as error:
            raise GuestLost(f"control line: {error}", loss=Loss.CONTROL) from error

    def _numbered(self, request: str) -> bytes:
        self._number += 1
        line = f"{self._number} {request}\n".encode()
        if len(line) > LINE_BYTES or line.count(b"\n") > 1:
            raise CommandFailed(f"{request[:40]!r}... cannot be sent on the guest's control line")
        return line

    def _send(self, line: bytes, deadline: Deadline) -> None:
        self._line.settimeout(deadline.left())
        self._line.sendall(line)

    def _answer(self, deadline: Deadline) -> bytes:
        """The next line, or as many bytes as a line may have."""
        checked = time.monotonic()
        while b"\n" not in self._heard and len(self._heard) < LINE_BYTES:
            self._line.settimeout(min(POLL_SECONDS, deadline.left()))
            try:
                more = self._line.recv(LINE_BYTES)
            except TimeoutError:
                more = None
            if more == b"":
                raise ConnectionResetError("QEMU closed it")
            self._heard += more or b""
            if time.monotonic() - checked > POLL_SECONDS:
                self._check()
                checked = time.monotonic()
        answer, newline, self._heard = self._heard.partition(b"\n")
        return answer + newline


@contextmanager
def control(folder: Path, check: Callable[[], None]) -> Iterator[Control]:
    """Connect to `control.sock`; close it when the block ends."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(folder / "control.sock"))
        yield Control(line, check)
