"""How fast the audit is, on a clean history of our own making."""

import resource
import time

import numpy as np

from freeonce.audit import kernel, rules
from freeonce.audit.run import take_apart
from freeonce.bench.figure import Figure
from freeonce.evidence.ledger import RECORD, Kind, Records, Type, Witness

SIZES = (10**5, 10**6, 10**7)
EVENTS = 6
"""Records for one allocation: the kernel's, the owner's, release, guard, reclaim, the kernel's."""


def history(count: int) -> Records:
    """A clean run of about `count` records, as the module would write it."""
    pairs = count // EVENTS
    records = np.zeros(2 + pairs * EVENTS, RECORD)
    records["sequence"] = np.arange(1, len(records) + 1)
    records["run"] = 1
    records["witness"] = Witness.LEDGER
    records[0]["type"], records[1 + pairs * 4]["type"] = Type.BEGIN, Type.END
    first = records[1 : 1 + pairs * 4].reshape(pairs, 4)
    second = records[2 + pairs * 4 :].reshape(pairs, 2)
    serial = np.arange(1, pairs + 1, dtype=np.uint64)
    pointer = np.uint64(0xFFFF_8880_0000_0000) + serial * np.uint64(128)
    for part, column, kind in (
        (first, 0, Type.ALLOCATE),
        (first, 1, Type.ALLOCATE),
        (first, 2, Type.RELEASE),
        (first, 3, Type.GUARD),
        (second, 0, Type.RECLAIM),
        (second, 1, Type.RELEASE),
    ):
        part["type"][:, column] = kind
        part["kind"][:, column] = Kind.POOL
        if kind is not Type.GUARD:
            part["pointer"][:, column] = pointer
        part["size"][:, column] = 80 if column == 0 else 64
        part["align_log2"][:, column] = 3
        part["serial"][:, column] = serial
    first["witness"][:, 0] = second["witness"][:, 1] = Witness.KERNEL
    first["serial"][:, 0] = second["serial"][:, 1] = 0
    return records


def audit_seconds(records: Records) -> float:
    """Seconds to judge ledger and kernel witness of a clean run."""
    start = time.perf_counter()
    run = take_apart(records)
    findings = [one for rule in (*rules.RULES, *rules.COUNTED) for one in rule(run)]
    unledgered, disputes = kernel.compare(records)
    seconds = time.perf_counter() - start
    if findings or unledgered or disputes or run.disputes:
        raise AssertionError("the clean history of the benchmark is not clean")
    return seconds


def peak_mib() -> float:
    """The most memory that this process had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def figures(rounds: int) -> list[Figure]:
    """Seconds to judge clean runs of SIZES records."""
    found = []
    for size in SIZES:
        records = history(size)
        samples = tuple(audit_seconds(records) for _ in range(rounds))
        found.append(Figure(f"audit of {size:,} records", "s", samples))
    return [*found, Figure("audit, peak memory", "MiB", (peak_mib(),))]
