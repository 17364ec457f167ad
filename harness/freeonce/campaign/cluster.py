"""Tasks on workers of Dask's `distributed`: on this machine, or wherever its scheduler has some.

Nothing of a task is pickled but names of our own functions and one text. How many are handed
over at a time is bounded, however long the campaign.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import dask
from distributed import Client, Future, LocalCluster, as_completed, get_worker
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker

from freeonce.audit.model import Verdict
from freeonce.campaign.outcome import Outcome, from_text, lacking
from freeonce.campaign.perform import perform
from freeonce.campaign.task import Task
from freeonce.campaign.trust import TIMES, Trust
from freeonce.errors import EvidenceError, HostError

SLOT = "guest"
"""The resource of a worker of which each task takes one."""
AHEAD = 2
"""Tasks a slot that the scheduler has at a time: one runs, the other is there when it ends."""
CONNECT_SECONDS = 20.0
LOOK_SECONDS = 2.0
WAIT_SECONDS = 0.02
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
        # Nothing of it leaves this machine, whatever is asked of what does.
        dask.config.set({**SETTINGS, "distributed.comm.require-encryption": False}),
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
    """That of a scheduler, `tcp://host:port` or `tls://...`. Raises HostError `scheduler`."""
    with dask.config.set(SETTINGS):
        try:
            client = Client(address, timeout=CONNECT_SECONDS)
        except UNREACHABLE as error:
            raise unreachable(address, error) from error
        with client:
            yield client


UNREACHABLE = (OSError, ValueError, TypeError, RuntimeError)
"""What Dask raises where no scheduler answers; TypeError where it has no certificates, which in
a worker's process becomes a RuntimeError, as does an address that is not encrypted and should be.
"""

TLS = """; for tls:// set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, and CERT and KEY of __CLIENT__ and \
__WORKER__ there, or the same in Dask's configuration (docs/campaigns.md)"""


def unreachable(address: str, error: BaseException) -> HostError:
    """That, in words."""
    blamed = isinstance(error, TypeError | RuntimeError)
    more = TLS if address.startswith("tls:") and blamed else ""
    return HostError("scheduler", f"no scheduler answers at {address}: {error}{more}")


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
    client: Client,
    tasks: Iterable[Task],
    work: Callable[[str], str] = perform,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[Task, Outcome]]:
    """Each task with its outcome, as they come. `work`: what a worker does with a task's body.

    Dask blames the death of a worker on all tasks that it had. So whoever was blamed so often
    that it was given up runs again at the end, alone. What a worker cannot begin goes to others,
    and a worker that refuses the same way again and again is taken out; `say` is told.

    Raises HostError `scheduler` when the scheduler is lost, or forgets what it was given, and
    `workers` when all were taken out: what came before is not lost, and the same campaign goes on
    from there.
    """
    crowd = _Crowd(client, work, say)
    blamed: list[Task] = []
    try:
        for task, outcome in crowd.each(tasks):
            if outcome is None:
                blamed.append(task)
            else:
                yield task, outcome
        for task in blamed:
            for _, outcome in crowd.each([task]):
                yield task, outcome or _killed()
    except (FutureCancelledError, OSError, TimeoutError) as error:
        message = f"the scheduler is lost, or has forgotten its tasks: {error}"
        raise HostError("scheduler", f"{message}; the same command goes on") from error


@dataclass
class _Given:
    """A task that the scheduler has. `refused`: what a worker said before, and then `workers`: only
    for these. Empty: for whoever is free.
    """

    task: Task
    refused: Outcome | None = None
    workers: set[str] = field(default_factory=set)
    future: Future | None = None


class _Crowd:
    """The workers of a cluster at the tasks of one campaign."""

    def __init__(
        self, client: Client, work: Callable[[str], str], say: Callable[[str], None]
    ) -> None:
        self._client = client
        self._work = work
        self._say = say
        self._slots = Slots(client)
        self._trust = Trust()
        self._given = 0

    def each(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Outcome | None]]:
        """None: given up, since workers died that had it."""
        waiting = iter(tasks)
        refused: deque[tuple[Task, Outcome]] = deque()
        nobodys: list[tuple[Task, Outcome]] = []
        had: dict[str, _Given] = {}

        def more() -> list[Future]:
            room = max(AHEAD * self._slots.count() - len(had), 0)
            futures = [self._give(_Given(task), had) for task in islice(waiting, room)]
            # Last of all: who refused is out by then, or somebody else is free.
            while refused and len(futures) < room:
                task, outcome = refused.popleft()
                if others := self._trust.others(task.key, self._workers()):
                    futures.append(self._give(_Given(task, outcome, others), had))
                else:
                    nobodys.append((task, outcome))
            return futures

        coming = as_completed(more())
        while (future := self._next(coming, had)) is not None:
            given = had.pop(str(future.key))
            task = given.task
            if given.refused is not None and future.status == "cancelled":
                refused.append((task, given.refused))
            else:
                address, outcome = self._outcome(future)
                if outcome and outcome.by_host and self._trust.again(task.key, address):
                    refused.append((task, outcome))
                else:
                    yield task, outcome
            future.release()
            coming.update(more())
            while nobodys:
                yield nobodys.pop()

    def _next(self, coming: as_completed, had: dict[str, _Given]) -> Future | None:
        """What ended, None when nothing is left. For workers that are gone Dask would wait
        without end: what was for these alone is taken back.
        """
        until = time.monotonic() + LOOK_SECONDS
        while not coming.is_empty():
            if coming.has_ready():
                return coming.next()
            time.sleep(WAIT_SECONDS)
            only = [one for one in had.values() if one.workers]
            if only and time.monotonic() >= until:
                until = time.monotonic() + LOOK_SECONDS
                workers = self._workers()
                for one in only:
                    if one.workers.isdisjoint(workers) and one.future is not None:
                        one.future.cancel()
        return None

    def _workers(self) -> set[str]:
        """The addresses of those that there are."""
        return set(self._client.scheduler_info(n_workers=-1)["workers"])

    def _give(self, given: _Given, had: dict[str, _Given]) -> Future:
        # A task that is given again must not be taken for the one that Dask is forgetting.
        self._given += 1
        key = f"{given.task.key}-{self._given}"
        had[key] = given
        given.future = self._client.submit(
            *(_here, self._work, json.dumps(given.task.body)),
            key=key,
            pure=False,
            resources={SLOT: 1},
            workers=sorted(given.workers) or None,
        )
        return given.future

    def _outcome(self, future: Future) -> tuple[str, Outcome | None]:
        """And by which worker. None: given up. What the task itself raised is told as the worker's
        refusal of it.
        """
        error = future.exception() if future.status == "error" else None
        if isinstance(error, KilledWorker):
            return "", None
        if error is not None:
            refused = f"an error of freeonce: {error!r}"
            return "", Outcome("", False, 0.0, "a worker", refused=refused)
        address, text = future.result()
        try:
            outcome = from_text(text)
        except EvidenceError as error:
            outcome = lacking(address, "answer", str(error))
        if not outcome.refused:
            self._trust.did(address)
        elif outcome.by_host and self._trust.refused(address, outcome.reason):
            self._take_out(address, outcome)
        return address, outcome

    def _take_out(self, address: str, outcome: Outcome) -> None:
        why = f"it refused {TIMES} tasks in a row: {outcome.refused}"
        left = self._workers() - {address}
        if not left:
            message = f"no worker is left; the last, {outcome.worker}: {why}"
            raise HostError("workers", f"{message}; the same command goes on")
        self._client.retire_workers([address], close_workers=True)
        self._say(f"worker {outcome.worker} was taken out: {why}")


def _here(work: Callable[[str], str], text: str) -> tuple[str, str]:
    """On a worker: its address, and the task's outcome."""
    return get_worker().address, work(text)


def _killed() -> Outcome:
    """What is known of a task whose worker died each time."""
    reason = "workers died while they ran it and nothing else"
    document: dict[str, object] = {"verdict": str(Verdict.INCOMPLETE), "reasons": [reason]}
    return Outcome(str(Verdict.INCOMPLETE), False, 0.0, "", document)
