"""Tasks on workers of Dask's `distributed`, wherever its scheduler has some.

Nothing of a task is pickled but names of our own functions and one text. How many are handed
over at a time is bounded, however long the campaign.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Future, as_completed, get_worker
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker

from freeonce.campaign import images
from freeonce.campaign.outcome import Outcome, broken, from_text, killed, lacking
from freeonce.campaign.perform import NO_IMAGE, perform
from freeonce.campaign.probe import QEMU, resource
from freeonce.campaign.task import Accelerators, Body, Task
from freeonce.campaign.trust import DIFFERENCES, Trust, nobody_left, why_out
from freeonce.deadline import Deadline
from freeonce.errors import EvidenceError, FreeonceError, HostError

NOTHING: Mapping[bool, str] = {}
SLOT = "guest"
"""The resource of a worker of which each task takes one."""
AHEAD = 2
"""Tasks a slot that the scheduler has at a time: one runs, the other is there when it ends."""
CONNECT_SECONDS = 20.0
ANSWER_SECONDS = 60.0
"""In which a scheduler answers, and hands on what a worker says at once."""
RESULT_SECONDS = 600.0
"""In which one that is done is fetched. (Dask takes a worker for dead that is silent for 300.)"""
MISSED_SECONDS = 60.0
"""In which a worker that died is back, with its probe of the machine."""
LOOK_SECONDS = 2.0
WAIT_SECONDS = 0.02

SETTINGS = {
    # A worker holds guests, whose memory is not its own; the crew of guests looks after that.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "logging": {"distributed": "critical", "asyncio": "critical"},
}


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


def dashboard(client: Client) -> str:
    """Where Dask shows itself; empty when it does not. Raises HostError `scheduler`."""
    with _heard():
        services = answer(client, client.scheduler.identity, n_workers=0)["services"]
    return str(client.dashboard_link) if "dashboard" in services else ""


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


class Workers:
    """Those of a cluster, looked at now and then."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._until = 0.0
        self._workers: dict[str, dict[str, float]] = {}
        self._out: set[str] = set()
        self._seen: dict[frozenset[str], float] = {}

    def resources(self, *, anew: bool = False) -> dict[str, dict[str, float]]:
        """What each has, by its address. Raises TimeoutError: the scheduler does not answer."""
        now = time.monotonic()
        if anew or now >= self._until:
            self._until = now + LOOK_SECONDS
            found = answer(self._client, self._client.scheduler.identity, n_workers=-1)["workers"]
            self._workers = {address: one["resources"] for address, one in found.items()}
            # Another may get the address of one that is gone.
            self._out &= self._workers.keys()
            for has in self._workers.values():
                self._seen[frozenset(has)] = now
        # Others may have workers of their own there. One that was taken out stays for a while.
        ours = {one: has for one, has in self._workers.items() if has.get(SLOT)}
        return {one: has for one, has in ours.items() if one not in self._out}

    def fit(self, needs: Mapping[str, float], *, anew: bool = False) -> set[str]:
        """The addresses of those that have it."""
        return {one for one, has in self.resources(anew=anew).items() if needs.keys() <= has.keys()}

    @property
    def some_are_out(self) -> bool:
        """Whether tasks must be kept from some."""
        return bool(self._out)

    def take_out(self, address: str, *, for_all: bool) -> None:
        """It gets no task of this campaign any more. `for_all`: nor of any other, and it ends."""
        self._out.add(address)
        if for_all:
            with suppress(TimeoutError):
                answer(self._client, retire, self._client, address)

    def slots(self) -> int:
        """How many guests run at a time. At least 1: who has no worker yet may get one."""
        return max(int(sum(one.get(SLOT, 0) for one in self.resources().values())), 1)

    def had(self, needs: Mapping[str, float]) -> bool:
        """Whether some worker had it a while ago: one that was killed is begun anew."""
        since = time.monotonic() - Deadline(MISSED_SECONDS, "a worker that comes back").seconds
        return any(needs.keys() <= has and seen > since for has, seen in self._seen.items())

    def lacking(self, needs: Mapping[str, float]) -> str:
        """What no worker has, in words; empty when one has all, or there is none yet."""
        workers = self.resources().values()
        if not workers or any(needs.keys() <= one.keys() for one in workers):
            return ""
        wanted = sorted(needs.keys() - {SLOT})
        there = sorted({name for one in workers for name in one if name != SLOT})
        return f"no worker has {' and '.join(wanted)}; they have {', '.join(there)}"


def needs(body: Body) -> dict[str, float]:
    """Of what resources a task takes one: a slot, and what is to run its guest."""
    accelerator = resource(str(body["accel"]), body["kind"] == "scenario")
    return {SLOT: 1, accelerator: 1, f"{QEMU}{body['qemu']}": 1}


def accelerators(
    client: Client, say: Callable[[str], None], before: Mapping[bool, str] = NOTHING
) -> Accelerators:
    """What was taken before, else KVM where some worker's guests have it, else TCG. Waits for the
    first worker.

    `before`: with SVM and without. Raises HostError `scheduler`.
    """
    with _heard():
        workers = Workers(client)
        if not workers.resources():
            say(NOBODY)
        while not workers.resources():
            time.sleep(LOOK_SECONDS)
        found = set[str]().union(*workers.resources().values())
    now = {svm: "kvm" if resource("kvm", svm) in found else "tcg" for svm in (True, False)}
    return (now | dict(before)).__getitem__


NOBODY = "there is no worker; start one by `freeonce worker` with this address"


def answer(client: Client, asked: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What comes of asking a scheduler, or a worker through it. Raises OSError, TimeoutError."""

    async def asking() -> Any:
        return await asked(*arguments, **named)

    seconds = Deadline(ANSWER_SECONDS, "a scheduler's answer").seconds
    try:
        return client.sync(asking, callback_timeout=seconds)
    except TimeoutError as error:
        raise TimeoutError(f"it did not answer for {seconds:g} s") from error
    except RuntimeError as error:
        # What Dask says when it has given up the line itself.
        raise ConnectionError(str(error)) from error


@contextmanager
def _heard() -> Iterator[None]:
    try:
        yield
    except (FutureCancelledError, OSError, TimeoutError) as error:
        message = f"the scheduler is lost, or has forgotten its tasks: {error}"
        raise HostError("scheduler", f"{message}; the same command continues") from error


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
    with _heard():
        for task, outcome in crowd.each(tasks):
            if outcome is None:
                blamed.append(task)
            else:
                yield task, outcome
        for task in blamed:
            for _, outcome in crowd.each([task]):
                yield task, outcome or killed()


@dataclass
class _Given:
    """A task that the scheduler has. `before`: what came of it elsewhere, and then `workers`: only
    for these. Empty: for whoever is free.
    """

    task: Task
    before: Outcome | None = None
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
        self._workers = Workers(client)
        self._trust = Trust()
        self._given = 0
        self._attended = True
        self._packed: dict[str, tuple[bytes, ...]] = {}
        self._unsupplied: set[tuple[str, str]] = set()
        self._had: dict[str, _Given] = {}
        self._again: deque[_Given] = deque()
        self._nobodys: deque[tuple[Task, Outcome]] = deque()
        self._missed = ""

    def each(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Outcome | None]]:
        """None: given up, since workers died that had it."""
        waiting = iter(tasks)
        coming = as_completed([])
        while True:
            coming.update(self._more(waiting))
            if self._nobodys:
                yield self._nobodys.popleft()
            elif (future := self._next(coming)) is not None:
                yield from self._came(future)
                future.release()
            elif self._missed:
                time.sleep(LOOK_SECONDS)
            else:
                return

    def _came(self, future: Future) -> Iterator[tuple[Task, Outcome | None]]:
        given = self._had.pop(str(future.key))
        task = given.task
        if given.workers and future.status == "cancelled":
            given.workers = set()
            self._again.append(given)
            return
        address, outcome = self._outcome(future, task)
        if outcome is None or not outcome.by_host:
            yield task, outcome
            return
        again = self._trust.again(task.key, address)
        supplied = outcome.reason == NO_IMAGE and self._supply(address, task)
        if outcome.refused and not supplied and self._trust.refused(address, outcome.reason):
            self._take_out(address, outcome)
        if again and supplied:
            self._again.appendleft(_Given(task))
        elif again:
            self._again.append(_Given(task, outcome))
        else:
            yield task, outcome

    def _more(self, waiting: Iterator[Task]) -> list[Future]:
        """As many as the slots have room for, up to one that nobody can run."""
        room = max(AHEAD * self._workers.slots() - len(self._had), 0)
        futures: list[Future] = []
        if self._workers.some_are_out and not self._workers.resources():
            raise HostError("workers", "no worker is left; the same command continues")
        missed, self._missed = self._missed, ""
        while (
            len(futures) < room
            and not self._nobodys
            and (given := self._next_given(waiting)) is not None
        ):
            wanted = needs(given.task.body)
            if not (lacking := self._workers.lacking(wanted)):
                futures.append(self._give(given))
            elif self._workers.had(wanted):
                self._again.appendleft(_Given(given.task))
                self._missed = lacking
                break
            else:
                self._nobodys.append((given.task, _refused(lacking)))
        if self._missed and not missed:
            self._say(f"{self._missed}; a worker had it before, so the campaign waits")
        return futures

    def _next_given(self, waiting: Iterator[Task]) -> _Given | None:
        """What was refused goes last: who did that is out by then, or somebody else is free."""
        if self._again and self._again[0].before is None:
            return self._again.popleft()
        for task in waiting:
            return _Given(task)
        while self._again:
            given = self._again.popleft()
            task, before = given.task, given.before
            if before is None:
                return given
            workers = self._workers.fit(needs(task.body), anew=True)
            if not self._workers.resources():
                # Whoever comes may try it.
                given.workers = set()
                return given
            given.workers = self._trust.others(task.key, workers)
            # A guest that was lost may be lost for once; who lacks something, lacks it again.
            if not given.workers and not before.refused:
                given.workers = workers
            if given.workers:
                return given
            self._nobodys.append((task, before))
        return None

    def _next(self, coming: as_completed) -> Future | None:
        """What ended, None when nothing is left. For workers that are gone Dask would wait
        without end: what was for these alone is taken back.
        """
        until = time.monotonic() + LOOK_SECONDS
        while not coming.is_empty():
            if coming.has_ready():
                return coming.next()
            time.sleep(WAIT_SECONDS)
            if time.monotonic() < until:
                continue
            until = time.monotonic() + LOOK_SECONDS
            workers = self._workers.resources(anew=True)
            if not workers and self._attended:
                self._say(NOBODY)
            self._attended = bool(workers)
            for one in self._had.values():
                if one.workers and one.workers.isdisjoint(workers) and one.future is not None:
                    one.future.cancel()
        return None

    def _give(self, given: _Given) -> Future:
        # A task that is given again must not be taken for the one that Dask is forgetting.
        self._given += 1
        key = f"{given.task.key}-{self._given}"
        self._had[key] = given
        if self._workers.some_are_out and not given.workers:
            given.workers = self._workers.fit(needs(given.task.body))
        given.future = self._client.submit(
            *(_here, self._work, json.dumps(given.task.body)),
            key=key,
            pure=False,
            resources=needs(given.task.body),
            workers=sorted(given.workers) or None,
        )
        return given.future

    def _outcome(self, future: Future, task: Task) -> tuple[str, Outcome | None]:
        """And by which worker. None: given up. What the task itself raised is told as the worker's
        refusal of it.
        """
        error = future.exception() if future.status == "error" else None
        if isinstance(error, KilledWorker):
            return "", None
        if error is not None:
            return "", broken(error)
        try:
            address, text = self._fetched(future)
        except KilledWorker:
            # It was done; who had it died before it could be fetched, as did all who tried again.
            return "", None
        try:
            outcome = from_text(text, task.body.get("kind"))
        except EvidenceError as error:
            outcome = lacking(address, "answer", str(error))
        if not outcome.by_host and not outcome.refused:
            self._trust.did(address)
        return address, outcome

    def _fetched(self, future: Future) -> tuple[str, str]:
        """Of one that is done. Raises TimeoutError, OSError, and what became of it meanwhile."""
        deadline = Deadline(RESULT_SECONDS, "fetching a result")
        while True:
            try:
                answered: tuple[str, str] = future.result(timeout=ANSWER_SECONDS)
                return answered
            except TimeoutError:
                # It may be the scheduler that does not answer.
                self._workers.resources(anew=True)
                if future.status != "finished":
                    # Its worker is gone, and another is at it.
                    deadline = Deadline(RESULT_SECONDS, deadline.purpose)
                elif deadline.is_over:
                    raise

    def _supply(self, address: str, task: Task) -> bool:
        """Send a worker the image that a task needs. Whether it has it now."""
        digest = str(task.body.get("image"))
        manifest = images.find(digest)
        if (address, digest) in self._unsupplied:
            return False
        if manifest is None:
            self._unsupplied.add((address, digest))
            self._say(f"worker {address} does not have the image, nor does this machine any more")
            return False
        try:
            if digest not in self._packed:
                self._packed[digest] = tuple(images.packed(manifest))
            package = str(task.body.get("package"))
            sent = send(self._client, address, digest, package, self._packed[digest])
        except (OSError, ValueError, FreeonceError) as error:
            self._unsupplied.add((address, digest))
            self._say(f"worker {address} could not be sent the image: {error}")
            return False
        if sent:
            self._say(f"worker {address} was sent the image, {sent / 1e6:.0f} MB")
        return True

    def _take_out(self, address: str, outcome: Outcome) -> None:
        left = self._workers.resources(anew=True).keys() - {address}
        if not left:
            raise nobody_left(outcome)
        # Of a difference nobody knows whose fault it is, and others may use this worker.
        self._workers.take_out(address, for_all=outcome.reason not in DIFFERENCES)
        self._say(f"worker {outcome.worker} was taken out: {why_out(outcome)}")


def retire(client: Client, address: str) -> Any:
    """Send a worker away for good; of an asynchronous client to be awaited."""
    # Removed by the scheduler it could not tell this from a line that broke (`serving`).
    return client.retire_workers([address], close_workers=True, remove=False)


def send(client: Client, address: str, digest: str, package: str, pieces: Iterable[bytes]) -> int:
    """An image to a worker, through the scheduler, in pieces; how many bytes. `digest`,
    `package`: of its manifest, and of its kernel package.

    Raises what sending or keeping it raises.
    """

    def on_worker(function: Callable[..., Any], *arguments: object) -> Any:
        return answer(client, client.run, function, *arguments, workers=[address])[address]

    if not on_worker(images.begin, digest, package):
        return 0
    folder = on_worker(_folder)
    sent = 0
    try:
        for piece in pieces:
            on_worker(images.take, folder, piece)
            sent += len(piece)
        on_worker(images.end, folder, digest, package)
    except (OSError, ValueError, FreeonceError):
        with suppress(OSError):
            on_worker(images.drop, folder)
        raise
    return sent


def _folder(dask_worker: Any) -> str:
    """On a worker: one in its own, which goes with it. By this name Dask gives us the worker."""
    return images.place(Path(dask_worker.local_directory))


def _refused(why: str) -> Outcome:
    return Outcome("", False, 0.0, "a worker", refused=why)


def _here(work: Callable[[str], str], text: str) -> tuple[str, str]:
    """On a worker: its address, and the task's outcome."""
    return get_worker().address, work(text)
