"""What a campaign costs beside its guests, and what that would come to on many hosts.

Usage: python -m tests.scale [--tasks N] [--guests N]

Dask's scheduler, a worker and the client each in a process of its own, with tasks that do nothing;
then real ones. Bytes are those of the loopback of a network namespace, where root may make one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from freeonce.campaign.bases import bases
from freeonce.campaign.cluster import remote, run
from freeonce.campaign.outcome import Outcome, to_text
from freeonce.campaign.plan import Plan, Scenarios
from freeonce.campaign.store import writing
from freeonce.campaign.task import Task, unfold
from tests.guest.campaigning import FREEONCE, begun, results, scheduler
from tests.guest.clusters import ASKED, EVERYTHING, local_cluster
from tests.guest.networks import network, obstacle

WORKER = """
import asyncio, sys
from freeonce.campaign.serving import serve
asyncio.run(serve(sys.argv[1], int(sys.argv[2]), dict.fromkeys(sys.argv[3:], 1)))
"""
MANY = 100_000
CLOCK = os.sysconf("SC_CLK_TCK")


def nothing(_: str) -> str:
    """What a worker does with a task."""
    return to_text(Outcome("clean", True, 0.0, "w", {"text": "x" * 1500}))


def tasks(count: int) -> Iterator[Task]:
    for number in range(count):
        body = {"kind": "scenario", "number": number, "text": "x" * 250, **ASKED}
        yield Task(f"{number:032x}", "c/pool", body)


def cpu(process: int | str) -> float:
    """Seconds that a process has used."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / CLOCK


def most(process: int | str) -> float:
    """MiB that it had in memory at most."""
    status = Path(f"/proc/{process}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def moved() -> int:
    """Bytes that went over the loopback of this namespace."""
    (line,) = (one for one in Path("/proc/net/dev").read_text().splitlines() if "lo:" in one)
    return int(line.partition(":")[2].split()[0])


def costs(count: int) -> dict[str, float]:
    """Of a task that does nothing, by part; the rest of 10^5 is queued."""
    with (
        scheduler() as (address, master),
        begun(sys.executable, "-c", WORKER, address, "2", *EVERYTHING),
        remote(address) as client,
        tempfile.TemporaryDirectory() as folder,
        writing(Path(folder)) as store,
    ):
        client.wait_for_workers(2)
        coming = run(client, tasks(MANY), nothing)
        for _ in range(50):
            next(coming)
        before = time.monotonic(), cpu(master.pid), cpu("self"), moved()
        for _ in range(count):
            store.add(*next(coming))
        after = time.monotonic(), cpu(master.pid), cpu("self"), moved()
        wall, theirs, ours, bytes_moved = (b - a for a, b in zip(before, after, strict=True))
        return {
            "tasks a second, two slots that do nothing": count / wall,
            "CPU of the scheduler a task, ms": 1000 * theirs / count,
            "CPU of the client a task, ms (store included)": 1000 * ours / count,
            "bytes moved a task (scheduler to worker, worker to client)": bytes_moved / count,
            "scheduler's memory at most, MiB": most(master.pid),
            "client's memory at most, MiB": most("self"),
        }


def plan_memory() -> dict[str, float]:
    """What a client's keys of a plan with so many tasks take."""
    base_of = bases("auto", scenarios=True)
    found = {}
    for count in (1000, MANY):
        keys = {task.key for task in unfold(Plan((Scenarios(("c/pool",), repeat=count),)), base_of)}
        found[f"a plan of {len(keys)} tasks: memory at most, MiB"] = most("self")
    return found


def guests(count: int) -> dict[str, float]:
    """Real tasks on one slot and on two: by a campaign, by Dask's LocalCluster in its place, and by
    the crew of `freeonce run`.
    """
    found: dict[str, float] = {}
    seconds: dict[int, float] = {}
    for slots in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            plan = Path(folder) / "plan.toml"
            plan.write_text(f'[[scenarios]]\nnames = ["c/pool"]\nrepeat = {count}\n')
            led = (*FREEONCE, "campaign", str(plan), "--local", str(slots))
            found[f"{count} guests, a campaign, {slots} slots, s"] = _seconds(led)
            kept = results(Path(folder) / "plan.results")
            # From the first result on: the start is not what many tasks cost.
            kept = kept[slots:]
            wall = kept[-1].finished - kept[0].finished + kept[0].seconds
            seconds[slots] = wall / len(kept)
            busy = sum(one.seconds for one in kept) / (slots * wall)
            found[f"slots in use, of {slots}, %"] = 100 * busy
        numbers = ("--guests", str(count), "--slots", str(slots))
        dask = (sys.executable, "-m", "tests.scale", "--part", "dask", *numbers)
        found[f"{count} guests, LocalCluster, {slots} slots, s"] = _seconds(dask)
        crew = (*FREEONCE, "run", "--no-faults", "--repeat", str(count), "-j", str(slots))
        found[f"{count} guests, crew, {slots} at a time, s"] = _seconds((*crew, "c/pool"))
    found["two slots do so many times what one does"] = seconds[1] / seconds[2]
    return found


def _seconds(words: Sequence[str]) -> float:
    """That a program takes, from its start to its end."""
    begin = time.monotonic()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begin


def by_dask(count: int, slots: int) -> None:
    """The same tasks, on a LocalCluster."""
    base_of = bases("auto", scenarios=True)
    chosen = unfold(Plan((Scenarios(("c/pool",), repeat=count),)), base_of)
    with (
        tempfile.TemporaryDirectory() as folder,
        writing(Path(folder) / "results") as store,
        local_cluster(slots, Path(folder)) as client,
    ):
        for task, outcome in run(client, chosen):
            store.add(task, outcome)


def main() -> None:
    """Print what was measured as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale")
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--guests", type=int, default=40)
    parser.add_argument("--part", choices=["costs", "plan", "guests", "dask"])
    parser.add_argument("--slots", type=int, default=2)
    said = parser.parse_args()
    if said.part is None:
        for part in ("costs", "plan", "guests"):
            _in_namespace(part, said) if part == "costs" else _part(part, said)
        return
    if said.part == "dask":
        by_dask(said.guests, said.slots)
        return
    if said.part == "plan":
        found = plan_memory()
    else:
        found = costs(said.tasks) if said.part == "costs" else guests(said.guests)
    print(json.dumps(found, indent=1), flush=True)


def _part(part: str, said: argparse.Namespace, before: tuple[str, ...] = ()) -> None:
    numbers = ("--tasks", str(said.tasks), "--guests", str(said.guests))
    words = (*before, sys.executable, "-m", "tests.scale", "--part", part, *numbers)
    subprocess.run(words, check=True)


def _in_namespace(part: str, said: argparse.Namespace) -> None:
    if why := obstacle():
        print(f"bytes are those of all programs here: {why}", file=sys.stderr)
        _part(part, said)
        return
    with network("one") as net:
        _part(part, said, tuple(net.on("one")))


if __name__ == "__main__":
    main()
