"""`make bench`: what freeonce costs, as ratios from one run. Prints a table, writes JSON."""

import json
import resource
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from freeonce.audit import kernel, rules
from freeonce.cli.setting import find_setting
from freeonce.evidence.ledger import RECORD, Kind, Records, Type, Witness
from freeonce.evidence.text import printable
from freeonce.guest import CONTROL, Guest

ROUNDS = 5
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
    run = rules.take_apart(records)
    findings = [finding for rule in rules.RULES for finding in rule(run)]
    unledgered, disputes = kernel.compare(records)
    seconds = time.perf_counter() - start
    if findings or unledgered or disputes or run.disputes:
        raise AssertionError("the clean history of the benchmark is not clean")
    return seconds


def nanoseconds(guest: Guest, file: str) -> dict[str, list[int]]:
    """What a guest's own benchmark measured, in nanoseconds, by what watched."""
    found: dict[str, list[int]] = {}
    for _ in range(ROUNDS):
        for line in printable(guest.command(f"cat {CONTROL}/{file}")).splitlines():
            name, value = line.split()
            found.setdefault(name, []).append(int(value))
    return found


VMRUNS = {
    "bare": "world switch alone",
    "operands": "+ operand check",
    "records": "+ its two records",
    "unchecked": "+ both, as VCPU_UNCHECKED",
    "checked": "+ host's registers (default)",
}
"""What each measurement of bench_vmrun is (guest/LEDGER.md)."""


def vmrun_table(found: dict[str, list[int]]) -> Table:
    """Round trips of an L2 that does not change. Ratios: median and quartiles, by round."""
    title = "one VMRUN and its #VMEXIT"
    table = Table(title, "median ns", "a second", "x bare", "quartiles", box=None)
    for name, values in found.items():
        ratios = [value / bare for value, bare in zip(values, found["bare"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        median = statistics.median(values)
        cells = f"{median:.0f}", f"{1e9 / median:,.0f}", f"{middle:.2f}", f"{low:.2f}-{high:.2f}"
        table.add_row(VMRUNS.get(name, name), *cells)
    return table


def main(destination: str) -> None:
    """Measure, print, and write the figures with their spread."""
    console = Console(highlight=False)
    with find_setting("auto").boot()() as guest:
        pairs = nanoseconds(guest, "bench")
        vmruns = nanoseconds(guest, "bench_vmrun")
    bare = statistics.median(pairs["bare"])
    table = Table("one allocate/release pair", "median ns", "spread", "x bare", box=None)
    for name, values in pairs.items():
        median = statistics.median(values)
        spread = f"{min(values)}-{max(values)}"
        table.add_row(name, f"{median:.0f}", spread, f"{median / bare:.1f}")
    console.print(table)

    console.print(vmrun_table(vmruns))

    audit = {}
    table = Table("records audited", "seconds", "records/s", "x of 10^5 a record", box=None)
    for size in SIZES:
        records = history(size)
        audit[size] = [audit_seconds(records) for _ in range(ROUNDS)]
        del records
        seconds = statistics.median(audit[size])
        base = statistics.median(audit[SIZES[0]]) / SIZES[0]
        cells = f"{seconds:.3f}", f"{size / seconds:,.0f}", f"{seconds / size / base:.2f}"
        table.add_row(f"{size:,}", *cells)
    console.print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"peak memory {peak:.0f} MiB")
    document = {"pair_ns": pairs, "vmrun_ns": vmruns, "audit_seconds": audit, "peak_mib": peak}
    Path(destination).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
