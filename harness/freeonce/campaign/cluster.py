"""Tasks on workers of Dask's `distributed`: on this machine, or wherever its scheduler has some.

Nothing of a task is pickled but a name of our own function and its one text. How many are handed
over at a time is bounded, however long the campaign.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import dask
from distributed import Client, Future, LocalCluster, as_completed
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker

from freeonce.audit.model import Verdict
from freeonce.campaign.outcome import Outcome, from_text
from freeonce.campaign.perform import perform
from freeonce.campaign.task import Task
from freeonce.errors import HostError

SLOT = "guest"
"""The resource of a worker of which each task takes one."""
AHEAD = 2
"""Tasks a slot that the scheduler has at a time: one runs, the other is there when it ends."""
CONNECT_SECONDS = 20.0
LOOK_SECONDS = 2.0
DEATHS = 3
"""After so many dead workers a task is held to have killed them."""

SETTINGS = {
    # Unlike numerical work no task may be tried anew without end, nor be moved while it runs.
    "distributed.scheduler.allowed-failures": DEATHS - 1,
    "distributed.scheduler.work-stealing": False,
    # A worker holds guests, whose memory is not its own; the crew of guests looks after that.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "logging": {"distributed": "critical", "asyncio": "critical"},
}


@contextmanager
def local(slots: int, scratch: Path) -> Iterator[Client]:
    """A cluster of this machine alone, a process a slot; nothing listens beyond loopback."""
    with (
        dask.config.set(SETTINGS),
        LocalCluster(
            n_workers=slots,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            resources={SLOT: 1},
            local_directory=str(scratch),
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def remote(address: str) -> Iterator[Client]:
    """The cluster of a scheduler, `tcp://host:port`. Raises HostError `scheduler`."""
    with dask.config.set(SETTINGS):
        try:
            client = Client(address, timeout=CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise HostError("scheduler", f"no scheduler answers at {address}: {error}") from error
        with client:
            yield client


class Slots:
    """How many guests the workers of a cluster run at a time, looked at now and then."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._until = 0.0
        self._slots = 1

    def count(self) -> int:
        """At least 1: who has no worker yet may get one."""
        now = time.monotonic()
        if now >= self._until:
            self._until = now + LOOK_SECONDS
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
            self._slots = max(int(sum(one["resources"].get(SLOT, 0) for one in workers)), 1)
        return self._slots


def run(
    client: Client, tasks: Iterable[Task], work: Callable[[str], str] = perform
) -> Iterator[tuple[Task, Outcome]]:
    """Each task with its outcome, as they come. `work`: what a worker does with a task's body.

    Dask blames the death of a worker on all tasks that it had. So whoever was blamed so often
    that it was given up runs again at the end, alone.

    Raises HostError `scheduler` when the scheduler is lost, or forgets what it was given: what
    came before is not lost, and the same campaign goes on from there.
    """
    blamed: list[Task] = []
    try:
        for task, outcome in _each(client, tasks, work):
            if outcome is None:
                blamed.append(task)
            else:
                yield task, outcome
        for task in blamed:
            for _, outcome in _each(client, [replace(task, key=f"{task.key}-alone")], work):
                yield task, outcome or _killed()
    except (FutureCancelledError, OSError, TimeoutError) as error:
        message = f"the scheduler is lost, or has forgotten its tasks: {error}"
        raise HostError("scheduler", f"{message}; the same command goes on") from error


def _each(
    client: Client, tasks: Iterable[Task], work: Callable[[str], str]
) -> Iterator[tuple[Task, Outcome | None]]:
    """None: given up, since workers died that had it."""
    waiting = iter(tasks)
    given: dict[str, Task] = {}
    slots = Slots(client)

    def more() -> Iterator[Future]:
        for task in islice(waiting, max(AHEAD * slots.count() - len(given), 0)):
            given[task.key] = task
            yield client.submit(
                work, json.dumps(task.body), key=task.key, pure=False, resources={SLOT: 1}
            )

    coming = as_completed(list(more()))
    for future in coming:
        yield given.pop(str(future.key)), _outcome(future)
        future.release()
        coming.update(list(more()))


def _outcome(future: Future) -> Outcome | None:
    """None: given up. What the task itself raised is told as the worker's refusal of it."""
    error = future.exception() if future.status == "error" else None
    if isinstance(error, KilledWorker):
        return None
    if error is not None:
        return Outcome("", False, 0.0, "a worker", refused=f"an error of freeonce: {error!r}")
    return from_text(future.result())


def _killed() -> Outcome:
    """What is known of a task whose worker died each time."""
    reason = "workers died while they ran it and nothing else"
    document: dict[str, object] = {"verdict": str(Verdict.INCOMPLETE), "reasons": [reason]}
    return Outcome(str(Verdict.INCOMPLETE), False, 0.0, "", document)
