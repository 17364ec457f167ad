"""Tasks without guests, for tests of who hands them out, and what a worker does with one."""

import errno
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from freeonce.campaign import images
from freeonce.campaign.outcome import Outcome, lacking, to_text
from freeonce.campaign.perform import NO_IMAGE
from freeonce.campaign.task import Body, Task


def work(text: str) -> str:
    """What a worker of these tests does with a body."""
    body: Body = json.loads(text)
    if body["poisonous"]:
        os._exit(9)
    if body["full"]:
        return to_text(lacking(f"full:{os.getpid()}", "system", os.strerror(errno.ENOSPC)))
    if "odd" in body and is_first(Path(str(body["odd"]))):
        return '{"verdict": "clean", "another": "version"}'
    if "lost" in body:
        lost = Outcome("incomplete", False, 0.0, "w", {"reasons": ["QEMU"]}, by_host=True)
        count = len(list(Path(str(body["lost"])).iterdir()))
        (Path(str(body["lost"])) / str(count)).touch()
        if count < int(str(body["times"])):
            return to_text(lost)
    if "stopped" in body:
        os.kill(os.getpid(), signal.SIGSTOP)
    if "image" in body and images.find(str(body["image"])) is None:
        return to_text(lacking(f"bare:{os.getpid()}", NO_IMAGE, "none"))
    if "lacking" in body and is_first(Path(str(body["lacking"]))):
        return to_text(lacking("bad:1", "no-kvm", f"it, {body['number']}"))
    return to_text(Outcome("clean", True, 0.0, str(os.getpid()), {"number": body["number"]}))


def slow(text: str) -> str:
    """The same, and it lasts."""
    time.sleep(0.05)
    return work(text)


def is_first(file: Path) -> bool:
    """Whether this process was here first, now or before."""
    with suppress(FileExistsError), file.open("x") as made:
        made.write(str(os.getpid()))
    return file.read_text() == str(os.getpid())


def tasks(count: int, poisonous: int | None = None, full: int | None = None) -> Iterator[Task]:
    for number in range(count):
        body: Body = {
            "kind": "errand",
            "accel": "tcg",
            "qemu": "any",
            "number": number,
            "poisonous": number == poisonous,
            "full": number == full,
        }
        yield Task(f"key-{number}", f"task {number}", body)


class Counted:
    """So many of them. `taken`: those that somebody asked for."""

    def __init__(self, count: int) -> None:
        self._tasks = tasks(count)
        self.taken = 0

    def __iter__(self) -> Iterator[Task]:
        for task in self._tasks:
            self.taken += 1
            yield task
