"""A harness at work whose processes are known, so that one of them can be killed."""

import json
import os
import random
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freeonce.machine.folder import KEEPER

MARK = "FREEONCE_DEATH"
"""In the environment of everything that a harness under test starts."""
SCENARIOS = ("c/pool", "c/contiguous", "c/placement")
RUN = ("run", "--no-faults", "--timeout", "20", *SCENARIOS)
LEFT_SECONDS = 5.0
END_SECONDS = 300.0
POLL_SECONDS = 0.01

# Its guests' folders lie where no other run's do.
PROGRAM = """
import pathlib, signal, sys
# Whoever began us may have them ignored, as nohup does, or a shell in the background: inherited.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
from freeonce.machine import folder
folder.kept_folder.__wrapped__.__defaults__ = (pathlib.Path(sys.argv[1]),)
from freeonce.cli import main
sys.argv = ["freeonce", *sys.argv[2:]]
main.main()
"""


@dataclass(frozen=True)
class Ended:
    """How it ended. `document`: what `--json` wrote, None if nothing."""

    status: int
    said: str
    document: dict[str, Any] | None
    seconds: float

    def verdicts(self) -> dict[str, str]:
        """The verdict of each scenario that is told of."""
        scenarios = self.document["scenarios"] if self.document else []
        return {one["name"]: one["verdict"] for one in scenarios}

    def reasons(self) -> str:
        """Why verdicts are incomplete, and what was said on stderr."""
        scenarios = self.document["scenarios"] if self.document else []
        return "\n".join([*(one for each in scenarios for one in each["reasons"]), self.said])


@dataclass(frozen=True)
class Spans:
    """Seconds from the first moment of each kind to its last, in a life that nobody disturbs.

    `harness`, `qemu`, `keeper`; `listener`: the harness from when a signal to end comes to itself.
    """

    seconds: Mapping[str, float]

    def of(self, kind: str, number: signal.Signals) -> float:
        """In which such a signal can come to such a one."""
        listens = kind == "harness" and number != signal.SIGKILL
        return self.seconds.get("listener" if listens else kind, 0.0)


class Life:
    """One run of a verb. `work`: a folder of its own; `templates`: where those lie."""

    def __init__(
        self,
        work: Path,
        templates: Path,
        verb: tuple[str, ...] = RUN,
        environment: Mapping[str, str] | None = None,
        folders: Path | None = None,
    ) -> None:
        self.templates = templates
        self.mark = secrets.token_hex(8)
        # A socket's path has at most 107 bytes (unix(7)).
        self.folders = folders or Path("/tmp") / f"death-{self.mark}"
        self.folders.mkdir(mode=0o700, exist_ok=True)
        self._json = work / f"{self.mark}.json"
        self._said = work / f"{self.mark}.err"
        self._begin = time.monotonic()
        reports = ("--json", str(self._json)) if verb[0] == "run" else ()
        with self._said.open("wb") as said:
            self.harness = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(self.folders), *verb, *reports],
                stdin=subprocess.PIPE if verb[0] == "shell" else subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
                env={
                    **os.environ,
                    MARK: self.mark,
                    "FREEONCE_TEMPLATES": str(templates),
                    "FREEONCE_PATIENCE": "2",
                    # Whoever aborts says where.
                    "PYTHONFAULTHANDLER": "1",
                    **(environment or {}),
                },
            )

    def children(self, kind: str) -> list[int]:
        """Of the harness: `qemu` or `keeper`."""
        return [pid for pid in _children(self.harness.pid) if kind_of(pid) == kind]

    def wait_for(self, kind: str) -> list[int]:
        """Those of a kind, as soon as there is one; none when the harness ends before."""
        while self.harness.poll() is None:
            found = self.children(kind)
            if found:
                return found
            time.sleep(POLL_SECONDS)
        return []

    def wait_until_it_listens(self) -> None:
        """Until it has begun so far that a signal to end comes to itself: to its first handler of
        its own. Python has one for an interrupt long before there is anything to end.
        """
        while self.harness.poll() is None and not _catches(self.harness.pid, signal.SIGTERM):
            time.sleep(POLL_SECONDS)

    def strike(
        self, kind: str, number: signal.Signals, chance: random.Random, seconds: float = 0.0
    ) -> float | None:
        """Send a signal to the harness or to one of its children, within so many seconds from when
        it could come to one first. At which it did; None when all was over.
        """
        if kind != "harness":
            self.wait_for(kind)
        elif number != signal.SIGKILL:
            self.wait_until_it_listens()
        begin = time.monotonic()
        time.sleep(chance.uniform(0.0, seconds))
        found = [self.harness.pid] if kind == "harness" else self.wait_for(kind)
        if not found or self.harness.poll() is not None:
            return None
        pid = chance.choice(found)
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return None
        return time.monotonic() - begin

    def watch(self, until: Callable[[], bool] = lambda: False) -> "Spans":
        """What there is of whom when, with nobody disturbed, until it ends."""
        if self.harness.stdin is not None:
            # A shell has read all that it will be told, and ends when it can.
            self.harness.stdin.close()
        begun = time.monotonic()
        seen: dict[str, tuple[float, float]] = {"harness": (0.0, 0.0)}
        while self.harness.poll() is None and not until():
            now = time.monotonic() - begun
            there = {kind_of(pid) for pid in _children(self.harness.pid)} | {"harness"}
            if _catches(self.harness.pid, signal.SIGTERM):
                there.add("listener")
            for kind in there:
                seen[kind] = (seen.get(kind, (now, now))[0], now)
            time.sleep(POLL_SECONDS)
        return Spans({kind: last - first for kind, (first, last) in seen.items()})

    def end(self) -> Ended:
        """Wait for its end, which must come. Raises subprocess.TimeoutExpired."""
        try:
            status = self.harness.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.harness.kill()
            self.harness.wait()
            raise
        finally:
            if self.harness.stdin is not None:
                self.harness.stdin.close()
        document = None
        if self._json.exists() and self._json.stat().st_size:
            document = json.loads(self._json.read_text())
        said = self._said.read_text(errors="replace")
        return Ended(status, said, document, time.monotonic() - self._begin)

    def left(self) -> list[str]:
        """What is still there after a while: processes, folders, half templates."""
        end = time.monotonic() + LEFT_SECONDS
        while (found := list(self._left())) and time.monotonic() < end:
            time.sleep(0.05)
        # Not one that something is mounted on.
        with suppress(OSError):
            self.folders.rmdir()
        return found

    def _left(self) -> Iterator[str]:
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                marked = f"{MARK}={self.mark}".encode() in environ.read_bytes().split(b"\0")
            except OSError:
                continue
            if marked:
                yield f"process {environ.parent.name}"
        yield from (f"folder {one.name}" for one in self.folders.iterdir())
        if self.templates.is_dir():
            for one in self.templates.iterdir():
                if re.fullmatch("freeonce-[0-9a-f]{16}", one.name):
                    yield f"half a template {one.name}"


def _catches(pid: int, number: signal.Signals) -> bool:
    """By the mask in status (proc(5), SigCgt)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    mask = int(status.split("SigCgt:")[1].split()[0], 16)
    return bool(mask & 1 << (number - 1))


def _children(pid: int) -> Iterator[int]:
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            yield from map(int, file.read_text().split())
        except OSError:
            continue


def kind_of(pid: int) -> str:
    """What such a process is to a harness; empty: neither of these."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    if b"qemu" in Path(command[0].decode(errors="replace")).name.encode():
        return "qemu" if b"--version" not in command else ""
    return "keeper" if KEEPER.encode() in command else ""
