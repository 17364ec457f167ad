"""Campaigns, workers and schedulers as programs of a test, which end with it."""

import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from freeonce.campaign.store import Kept, reading
from freeonce.deadline import patience
from freeonce.errors import UsageError
from tests.death.life import MARK

FREEONCE = (sys.executable, "-m", "freeonce")
NONE: Mapping[str, str] = {}
SECONDS = 120.0
LEFT_SECONDS = 10.0
SCHEDULER = (sys.executable, "-c", "from distributed.cli.dask_scheduler import main; main()")
"""As Dask's own command line begins it."""


def marked(mark: str) -> list[int]:
    """Every process that was begun with this mark in its environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def words_of(process: int) -> list[str]:
    """The command line of a process, empty when it is gone."""
    try:
        said = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return []
    return said.decode(errors="replace").split("\0")


def folders_of(mark: str) -> set[Path]:
    """The folders that these programs have now: each has a keeper that names it."""
    named = (word for process in marked(mark) for word in words_of(process))
    return {Path(word) for word in named if re.fullmatch(r"/tmp/freeonce-[0-9a-f]+", word)}


def listening(process: "subprocess.Popen[str]") -> set[str]:
    """The addresses at which a program and all that it began listen, as the kernel writes them."""
    environ = Path(f"/proc/{process.pid}/environ").read_text().split("\0")
    (mark,) = (word.partition("=")[2] for word in environ if word.startswith(f"{MARK}="))
    sockets = set()
    for one in marked(mark):
        with suppress(OSError):
            sockets |= {os.readlink(line) for line in Path(f"/proc/{one}/fd").iterdir()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            # The state TCP_LISTEN (include/net/tcp_states.h).
            if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
                found.add(words[1].partition(":")[0])
    return found


LOOPBACK = "0100007F"
"""127.0.0.1 as the kernel writes it."""


def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds * patience()
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.05)


@contextmanager
def begun(*arguments: str, settings: Mapping[str, str] = NONE) -> Iterator["subprocess.Popen[str]"]:
    """A program of a test, which ends with it, and all that it began.

    `settings`: for its environment; who gives a mark there looks for what is left itself.
    """
    mark = secrets.token_hex(8)
    environment: Mapping[str, str] = {**os.environ, MARK: mark, **settings}
    process = subprocess.Popen(
        arguments,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if MARK not in settings:
            until(lambda: not marked(mark), LEFT_SECONDS, f"left: {marked(mark)}")


def results(store: Path) -> list[Kept]:
    try:
        with reading(store) as opened:
            return list(opened.results())
    except UsageError:
        # It is not there yet.
        return []


def at_least(count: int, store: Path, campaign: "subprocess.Popen[str]") -> bool:
    """Whether so many results are there. Fails when none is to come any more."""
    assert campaign.poll() is None, campaign.communicate()[0]
    return len(results(store)) >= count


@contextmanager
def scheduler(
    protocol: str = "tcp",
    settings: Mapping[str, str] = NONE,
    host: str = "127.0.0.1",
    before: Sequence[str] = (),
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Dask's; its address. `before`: words before its own."""
    # Otherwise its HTTP pages listen everywhere, also with --no-dashboard.
    pages = ("--dashboard-address", f"{host}:0")
    words = ("--host", f"{protocol}://{host}", "--port", "0", *pages)
    with begun(*before, *SCHEDULER, *words, settings=settings) as process:
        assert process.stdout
        for line in process.stdout:
            if match := re.search(rf"Scheduler at:\s+({protocol}://\S+)", line):
                yield match[1], process
                return
        pytest.fail("the scheduler does not say where it is")
