"""QMP: the line to QEMU itself. Commands are those of QEMU's QMP reference."""

import asyncio
import logging
import re
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from qemu.qmp import ExecuteError, Message, QMPClient, QMPError

from freeonce.deadline import Deadline
from freeonce.errors import DeadlineExceeded, GuestLost

COMMAND_SECONDS = 10.0
BY_HAND_SECONDS = 600.0
RETRY_SECONDS = 0.002
END_SECONDS = 1.0
"""Between the end of QEMU's line and that of its process."""

MIGRATES_FILES = (8, 2)
"""The first QEMU with `file:`. Since 9.1 `fd:` of a plain file is deprecated."""
STATE_SET = 1
"""What we call the set of descriptors that holds the state's file."""

T = TypeVar("T")

# It logs a lost connection as an error; we report it ourselves, once.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


def _run(runner: asyncio.Runner, awaitable: Awaitable[T], deadline: Deadline) -> T:
    """Its result. Raises TimeoutError at the deadline, and what it raises."""
    begun: list[asyncio.Task[object] | None] = []

    async def bounded() -> T:
        begun.append(asyncio.current_task())
        # Not `wait_for`: its inner task would be out of our reach.
        async with asyncio.timeout(deadline.left()):
            return await awaitable

    try:
        return runner.run(bounded())
    finally:
        # A signal's exception leaves the loop, not the task: it would wake up when the loop
        # runs again, at the disconnect, and asyncio tells an error that nobody took.
        for task in filter(None, begun):
            if not task.cancel() and not task.cancelled():
                task.exception()


class Monitor:
    """A QMP connection. Every method raises GuestLost when QEMU does not answer in time."""

    def __init__(
        self,
        runner: asyncio.Runner,
        client: QMPClient,
        folder: Path,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._runner = runner
        self._client = client
        self._folder = folder
        self._check = check

    @property
    def folder(self) -> Path:
        """The guest's folder, which goes with it."""
        return self._folder

    def _run(self, awaitable: Awaitable[T], deadline: Deadline) -> T:
        try:
            return _run(self._runner, awaitable, deadline)
        except ExecuteError as error:
            raise GuestLost(f"QEMU refuses {deadline.purpose}: {error}") from error
        except TimeoutError as error:
            message = f"QEMU did not answer {deadline.purpose} within {deadline.seconds:g} s"
            raise GuestLost(message) from error
        except (QMPError, OSError, EOFError) as error:
            self._wait_for_its_end()
            # The library's words are of its own state, not of QEMU's.
            message = f"QEMU closed its QMP line at {deadline.purpose} ({type(error).__name__})"
            raise GuestLost(message) from error

    def _wait_for_its_end(self) -> None:
        """Raise what the process says when it has ended: its line breaks a moment earlier."""
        deadline = Deadline(END_SECONDS, "QEMU's end")
        with suppress(DeadlineExceeded):
            while deadline.left():
                self._check()
                time.sleep(RETRY_SECONDS)

    def execute(self, command: str, arguments: Mapping[str, object] | None = None) -> object:
        """One QMP command's return value."""
        deadline = Deadline(COMMAND_SECONDS, f"'{command}'")
        return self._run(self._client.execute(command, arguments), deadline)

    def answer(self, message: Mapping[str, object]) -> Mapping[str, object]:
        """QEMU's whole answer to a QMP message: its `return`, or its `error`."""

        async def ask() -> Mapping[str, object]:
            try:
                return {"return": await self._client.execute_msg(Message(message))}
            except ExecuteError as error:
                return {"error": {"class": error.error_class, "desc": str(error)}}

        return self._run(ask(), Deadline(BY_HAND_SECONDS, f"'{message.get('execute')}'"))

    def status(self) -> str:
        """`query-status`: running, paused, shutdown, guest-panicked, ..."""
        answer = self.execute("query-status")
        return str(answer["status"]) if isinstance(answer, dict) else "unknown"

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hold the guest still. One that does not run now is left as it is."""
        if self.status() != "running":
            yield
            return
        self.execute("stop")
        try:
            yield
        finally:
            self.execute("cont")

    def read_memory(self, gpa: int, size: int) -> bytes:
        """Guest-physical memory (`pmemsave`)."""
        if not size:
            return b""
        file = self._folder / "pmemsave"
        try:
            self.execute("pmemsave", {"val": gpa, "size": size, "filename": str(file)})
            data = file.read_bytes()
        except GuestLost as lost:
            # QEMU says no more than "IO error" of a folder that is full.
            free = shutil.disk_usage(self._folder).free
            if free < size:
                message = f"no room for {size} bytes of memory: {self._folder} has {free}"
                raise GuestLost(f"{message}; {lost}") from lost
            raise
        finally:
            file.unlink(missing_ok=True)
        if len(data) != size:
            raise GuestLost(f"QMP: pmemsave gave {len(data)} bytes of {size}")
        return data

    def registers(self) -> str:
        """The first CPU's registers as QEMU prints them (HMP `info registers`)."""
        return str(self.execute("human-monitor-command", {"command-line": "info registers"}))

    def save(self, file: int, deadline: Deadline) -> None:
        """Stop the guest for good and write its devices' state; shared memory stays where it is.

        `file`: a descriptor, open for writing.
        """
        self.execute("stop")
        self._capabilities()
        self.execute("migrate", {"uri": self._handed(file)})
        while True:
            answer = self.execute("query-migrate")
            status = answer.get("status") if isinstance(answer, dict) else None
            if status == "completed":
                return
            if status == "failed":
                why = answer.get("error-desc") if isinstance(answer, dict) else None
                raise GuestLost(f"QEMU cannot save the guest: {why or 'it does not say why'}")
            deadline.left()
            time.sleep(RETRY_SECONDS)

    def restore(self, file: int, deadline: Deadline) -> None:
        """Take the devices' state from a file open for reading. The guest stays stopped.

        By the file itself: a program in between would cost as much as all the rest of it.
        """
        self._capabilities()
        self.execute("migrate-incoming", {"uri": self._handed(file)})
        while self.status() == "inmigrate":
            deadline.left()
            time.sleep(RETRY_SECONDS)

    def _handed(self, file: int) -> str:
        """Where QEMU migrates to or from a file, once it has a descriptor of its own for it."""
        migrates_files = self.version() >= MIGRATES_FILES
        self._run(self._send(file), Deadline(COMMAND_SECONDS, "a descriptor"))
        # It belongs to the command that comes next.
        if migrates_files:
            self.execute("add-fd", {"fdset-id": STATE_SET})
            return f"file:/dev/fdset/{STATE_SET}"
        self.execute("getfd", {"fdname": "state"})
        return "fd:state"

    async def _send(self, file: int) -> None:
        self._client.send_fd_scm(file)

    def version(self) -> tuple[int, int]:
        """QEMU's version, major and minor."""
        match self.execute("query-version"):
            case {"qemu": {"major": int(major), "minor": int(minor)}}:
                return major, minor
            case other:
                raise GuestLost(f"QMP: {other!r} is no version of QEMU")

    def _capabilities(self) -> None:
        # Memory in a file that both sides see is not sent (QEMU's docs/devel/migration).
        ignore = {"capability": "x-ignore-shared", "state": True}
        self.execute("migrate-set-capabilities", {"capabilities": [ignore]})

    def forwarded_port(self) -> int:
        """The host port that leads to the guest's SSH (HMP `info usernet`)."""
        answer = self.execute("human-monitor-command", {"command-line": "info usernet"})
        match = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s", str(answer))
        if match is None:
            raise GuestLost(f"QEMU forwards no port: {answer}")
        return int(match[1])


async def _connect(client: QMPClient, path: Path, check: Callable[[], None]) -> None:
    while True:
        try:
            await client.connect(str(path))
        except QMPError:
            # Not listening yet, or not any more. The caller's deadline ends this.
            check()
            await asyncio.sleep(RETRY_SECONDS)
        except AssertionError as error:
            # The library's, where QEMU goes as soon as it has greeted us (AsyncProtocol.connect).
            # This raises what broke the line, which nobody else would take.
            await client.disconnect()
            raise EOFError from error
        else:
            return


@contextmanager
def monitor(folder: Path, deadline: Deadline, check: Callable[[], None]) -> Iterator[Monitor]:
    """Connect to `qmp.sock`; disconnect when the block ends.

    `check` is called while we wait for the socket and raises GuestLost when QEMU ended.
    """
    with asyncio.Runner() as runner:
        client = QMPClient("freeonce")
        line = Monitor(runner, client, folder, check)
        while not (folder / "qmp.sock").exists():
            check()
            deadline.left()
            time.sleep(RETRY_SECONDS)
        line._run(_connect(client, folder / "qmp.sock", check), deadline)
        try:
            yield line
        finally:
            # QEMU may have gone first.
            with suppress(QMPError, OSError, EOFError, TimeoutError):
                _run(runner, client.disconnect(), Deadline(COMMAND_SECONDS, "closing QMP"))
