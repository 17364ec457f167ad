"""What reading a store of many results costs: seconds and memory at most, of each report.

Usage: python -m tests.scale.reading [--results N]
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from freeonce.campaign.outcome import Outcome
from freeonce.campaign.store import writing
from freeonce.campaign.task import Task
from tests.guest.campaigning import FREEONCE

REPORTS = ("--csv", "--json", "--junit", "--sarif", "--html")
REPEATED = 100
"""Of each task."""
EVENTS = 10
"""With which a document has 1.5 kB."""


def made(folder: Path, count: int) -> None:
    """A store: of the results every tenth is faulty, every hundredth incomplete."""
    with writing(folder) as store:
        # A made store need not outlive this machine.
        store._connection.execute("pragma synchronous = off")
        for number in range(count):
            store.add(_task(number), _outcome(number))


def _task(number: int) -> Task:
    name = f"module_{number // REPEATED:04}"
    body: dict[str, object] = {
        **{"kind": "audit", "name": name, "number": number % REPEATED, "targets": [name]},
        **{"commands": ["true"], "image": "0" * 64, "package": "1" * 64, "harness": "2" * 64},
    }
    return Task(f"{number:032x}", name, body)


def _outcome(number: int) -> Outcome:
    verdict = "incomplete" if number % 100 == 1 else "clean" if number % 10 else "faulty"
    leak = {
        **{"rule": "leak", "family": "slab", "message": "8 bytes, never released"},
        **{"function": f"init_{number % 7}", "identity": "0123456789abcdef"},
    }
    document: dict[str, object] = {
        **{"verdict": verdict, "findings": [leak] if verdict == "faulty" else []},
        **{"reasons": ["the guest was lost"] if verdict == "incomplete" else []},
        "host": {"kernel": "6.1.0-56-cloud-amd64", "accel": "tcg"},
        "events": [
            {"serial": serial, "family": "slab", "size": 64, "address": f"{number + serial:016x}"}
            | {"function": "module_init_function", "released": True}
            for serial in range(EVENTS)
        ],
    }
    return Outcome(verdict, verdict == "clean", 0.5, f"here:{number % 2}", document)


def costs(words: Sequence[str]) -> tuple[float, float]:
    """Seconds that a program takes from its start to its end, and MiB of memory at most."""
    begin = time.monotonic()
    process = subprocess.Popen((*FREEONCE, "results", *words), stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return time.monotonic() - begin, used.ru_maxrss / 1024


def main() -> None:
    """Print what was measured as JSON, a line each."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale.reading")
    parser.add_argument("--results", type=int, default=100_000)
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        store = Path(scratch) / "made.results"
        made(store, said.results)
        size = sum(one.stat().st_size for one in store.iterdir()) / said.results
        print(json.dumps({"bytes a result": round(size)}), flush=True)
        reports = [[one, f"{scratch}/report"] for one in REPORTS]
        chosen = ["--where", "verdict=incomplete"]
        for words in ([], chosen, *reports, ["--against", str(store)]):
            load = os.getloadavg()[0]
            seconds, memory = costs([str(store), *words])
            what = " ".join(words[:1]) or "the list"
            found = {"seconds": round(seconds, 1), "MiB": round(memory), "load": round(load, 1)}
            print(json.dumps({what: found}), flush=True)


if __name__ == "__main__":
    main()
