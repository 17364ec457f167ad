"""What a long life costs: one in a guest that is drained, and one of our own making to be judged.

The latter has its records in a file, as a drained ledger leaves them; each size in a process of its
own, which tells the most memory that it ever had.
"""

import json
import mmap
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import numpy as np

from freeonce.audit.audit import judge
from freeonce.audit.kernel import PROBES
from freeonce.audit.memory import Memory
from freeonce.audit.model import Asked, Verdict
from freeonce.audit.result import Evidence, Result
from freeonce.bench.figure import Figure
from freeonce.bench.lives import pairs_module
from freeonce.evidence.ledger import (
    CPU_STATE_GIF,
    RECORD,
    Flag,
    Kind,
    Phase,
    Quiesced,
    Records,
    Type,
    Witness,
    seal,
)
from freeonce.evidence.scenarios import Scenario
from freeonce.evidence.snapshot import Snapshot
from freeonce.project.setting import Setting
from freeonce.report.html import html_text
from freeonce.run.audit import audit, ready
from freeonce.run.life import Limits
from freeonce.run.prepare import Wish, prepare

SIZES = (10**5, 10**6, 10**7)
PIECE = 1 << 16
PLACE = "/var/tmp"
KEPT = 1000
"""Releases that the instrument keeps until their memory goes back to the kernel."""
ALL = Quiesced.RCU | Quiesced.WORK | Quiesced.DEFERRED
MOST_MIB = 2048
MOST_SECONDS = 3600.0
FIRST = np.uint64(0xFFFF_8880_0000_0000)
ADDRESSES = 1 << 16
"""That come again, as an allocator's do."""


def _some(*rows: dict[str, int]) -> Records:
    records = np.zeros(len(rows), RECORD)
    for record, row in zip(records, rows, strict=True):
        record["witness"] = Witness.LEDGER
        for name, value in row.items():
            record[name] = value
    return records


def _state() -> dict[str, int]:
    return {"type": Type.CPU_STATE, "pointer": 0xD01, "size": 40, "detail": CPU_STATE_GIF}


def _phase(phase: Phase) -> dict[str, int]:
    return {"type": Type.PHASE, "serial": 1, "detail": phase}


def life(count: int) -> Iterator[Records]:
    """A clean life of about `count` records, in pieces, without sequence and check.

    Three records an allocation: acquired, released and kept, and given back a little later.
    """
    text = np.frombuffer(b"life".ljust(24, b"\0"), "<u8").tolist()
    begin = dict(zip(("pointer", "physical", "size"), text, strict=True))
    yield _some(
        {"type": Type.BEGIN, "flags": Flag.LIFE, "serial": 0xFFFF_FFFF, **begin},
        {"type": Type.WITNESS_ON, "witness": Witness.KERNEL, "detail": PROBES},
        _state(),
        {"type": Type.SUBJECT, "serial": 1, "pointer": 0x6D},
        _phase(Phase.COMING),
        {"type": Type.STACK, "site": 1, "pointer": 0xFFFF_FFFF_C000_0010},
        _phase(Phase.LIVE),
    )
    allocations = count // 3
    for first in range(0, allocations + KEPT, PIECE // 3):
        serials = np.arange(first, min(first + PIECE // 3, allocations + KEPT)) + 1
        three = np.zeros((len(serials), 3), RECORD)
        for column, kind, back in (
            (0, Type.ALLOCATE, 0),
            (1, Type.RELEASE, 0),
            (2, Type.RECLAIM, KEPT),
        ):
            part, mine = three[:, column], serials - back
            part["type"], part["serial"], part["size"] = kind, mine, 64
            part["pointer"] = FIRST + (mine % ADDRESSES * 64).astype(np.uint64)
            part["kind"], part["site"], part["detail"] = Kind.SLAB, 1, column < 2
            part["witness"] = Witness.LEDGER
        three["flags"][:, 1] = Flag.KEPT
        told = (three["serial"] > 0) & (three["serial"] <= allocations)
        # What a column is before the first and behind the last.
        told[:, 2] = (serials > KEPT) & (serials - KEPT <= allocations)
        yield three[told]
    yield _some(
        _phase(Phase.GOING),
        _phase(Phase.GONE),
        {"type": Type.QUIESCED, "detail": ALL},
        _state(),
        {"type": Type.END},
        {"type": Type.SETTLED},
    )


def write(count: int, file: IO[bytes]) -> Records:
    """The same in a file, mapped."""
    written = 0
    for piece in life(count):
        piece["sequence"] = np.arange(written + 1, written + len(piece) + 1)
        piece["run"] = 1
        file.write(seal(piece).tobytes())
        written += len(piece)
    file.flush()
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(mapped, RECORD)


def judged(count: int) -> dict[str, float]:
    """Seconds to judge such a life and to write its page, and MiB that this process had at most."""
    with tempfile.TemporaryFile(dir=PLACE) as file:
        evidence = Evidence(write(count, file), Memory(Snapshot([]), {}))
    start = time.perf_counter()
    run, asked = evidence.run, Asked(1, Flag.LIFE)
    found = judge(evidence.records, evidence.memory, asked=asked, run=run)
    seconds = time.perf_counter() - start
    if found.verdict is not Verdict.CLEAN:
        raise AssertionError(f"the clean life of the benchmark is {found.verdict}: {found.reasons}")
    about = Scenario(0, "life", "Modules", "C", None, "", ())
    start = time.perf_counter()
    html_text(
        dict.fromkeys(("qemu", "accelerator", "reason", "kernel"), "-"),
        [Result(about, found, True, {}, seconds, evidence=evidence)],
    )
    page = time.perf_counter() - start
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "page": page, "mib": most}


def figures(rounds: int) -> list[Figure]:
    """Of lives of SIZES records: nanoseconds an event, and the most memory."""
    found = []
    for size in SIZES:
        command = [sys.executable, "-m", __name__, str(size)]
        runs = [
            json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            for _ in range(rounds)
        ]
        each = tuple(1e9 * one["seconds"] / size for one in runs)
        pages = tuple(1e9 * one["page"] / size for one in runs)
        memory = tuple(one["mib"] for one in runs)
        found += [
            Figure(f"a life of {size:,} records, judged, each", "ns", each),
            Figure(f"a life of {size:,} records, its page, each", "ns", pages),
            Figure(f"a life of {size:,} records, most memory", "MiB", memory, MOST_MIB),
        ]
    return found


def in_guest(setting: Setting) -> Iterator[Figure]:
    """Nanoseconds that a record takes in a guest, while the host drains it, and all in all."""
    with ready(setting) as (whole, source), TemporaryDirectory() as scratch:
        target = str(pairs_module(whole, Path(scratch)))
        for size in SIZES:
            wish = Wish(
                (target,),
                f"pairs={size // 3}",
                commands=("cat /sys/module/pairs/parameters/nanoseconds",),
                limits=Limits(load=MOST_SECONDS),
            )
            start = time.perf_counter()
            life = audit(whole, source, prepare(wish, whole.image, Path(scratch)))
            seconds = time.perf_counter() - start
            if life.result.judgement.verdict is not Verdict.CLEAN:
                raise AssertionError(f"{size:,} records: {life.reasons}")
            each = int(life.ran[0].output) / size
            yield Figure(f"a life of {size:,} records in a guest, each", "ns", (each,))
            yield Figure("the same with its clone and verdict, each", "ns", (1e9 * seconds / size,))


if __name__ == "__main__":
    print(json.dumps(judged(int(sys.argv[1]))))
