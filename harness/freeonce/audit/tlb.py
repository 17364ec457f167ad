"""What a CPU's TLB may still have of an L2 that has lost it, by CPU and ASID. Pure.

AMD manual volume 2, 15.16: a VMRUN lets the CPU keep whatever the L2 reaches under the ASID of its
VMCB, whoever the L2 is and whatever becomes of it. It is kept until a flush on that same CPU:
another CPU's flushes nothing here, nor does another ASID, nor EFER.SVME cleared and set again.
The CPU uses it in guest mode only, under that ASID. So what an L2 has lost may be released before
the flush, when nobody enters under that ASID in between: Linux's KVM does so.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from freeonce.audit.lives import FOREVER
from freeonce.audit.run import Run
from freeonce.evidence.ledger import CPU_STATE_FLUSH_BY_ASID, CPU_STATE_SILENT, Flag, Type, among

FLUSH_ALL, FLUSH_ASID = 1, 3
"""TLB_CONTROL (15.16.1). 7 leaves global entries, so it does not count."""

EXIT_INVALID = 0xFFFF_FFFF
"""The low half of VMEXIT_INVALID: VMRUN refused the VMCB (15.5.1)."""


@dataclass(slots=True)
class Entry:
    """A VMRUN that the CPU took: its record and sequence, and that of its #VMEXIT."""

    record: np.void
    start: int
    end: int
    epoch: "Epoch"

    @property
    def asid(self) -> int:
        """Under which it was."""
        return int(self.record["detail"])

    @property
    def cpu(self) -> int:
        """On which it was."""
        return int(self.record["cpu"])


@dataclass(slots=True)
class Epoch:
    """The VMRUNs on one CPU under one ASID between two flushes, in order."""

    entries: list[Entry] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    def after(self, moment: int) -> Entry | None:
        """The first that was in guest mode after a moment."""
        at = bisect_right(self.starts, moment)
        if at and self.entries[at - 1].end > moment:
            return self.entries[at - 1]
        return self.entries[at] if at < len(self.entries) else None


class Tlb:
    """The TLBs of all CPUs over one run."""

    def __init__(self, run: Run) -> None:
        self._by_asid = _flush_by_asid(run)
        self._forgotten = _invlpgas(run)
        self._looks = MOST_LOOKS
        of_vcpu: defaultdict[int, list[Entry]] = defaultdict(list)
        for vcpu, entry in self._entries(run):
            of_vcpu[vcpu].append(entry)
        self._of_vcpu = {vcpu: _Entries(entries) for vcpu, entries in of_vcpu.items()}

    def _entries(self, run: Run) -> list[tuple[int, Entry]]:
        """Those that the CPU took, with their vcpus, each in its epoch."""
        taken: list[tuple[int, Entry]] = []
        entered: dict[int, Entry] = {}
        flushes: defaultdict[int, int] = defaultdict(int)
        epochs: dict[tuple[int, int], tuple[int, Epoch]] = {}
        told = run.records[among(run.records["type"], (Type.VMRUN, Type.VMEXIT))]
        for record in told[told["flags"] & Flag.WITHHELD == 0]:
            vcpu, cpu, sequence = (int(record[name]) for name in ("serial", "cpu", "sequence"))
            if record["type"] == Type.VMEXIT:
                _exit(entered.pop(vcpu, None), record)
                continue
            asid, control = int(record["detail"]), int(record["size"])
            flushes[cpu] += control == FLUSH_ALL
            known, epoch = epochs.get((cpu, asid), (flushes[cpu], Epoch()))
            if known != flushes[cpu] or (control == FLUSH_ASID and cpu in self._by_asid):
                epoch = Epoch()
            epochs[cpu, asid] = flushes[cpu], epoch
            entered[vcpu] = entry = Entry(record, sequence, FOREVER, epoch)
            taken.append((vcpu, entry))
        taken = [(vcpu, entry) for vcpu, entry in taken if entry.end != REFUSED]
        for _, entry in taken:
            entry.epoch.entries.append(entry)
            entry.epoch.starts.append(entry.start)
        return taken

    def stale(self, vcpu: int, start: int, end: int, released: int) -> Entry | None:
        """A VMRUN in which a CPU may have used what was released, by what its TLB kept.

        Between `start` and `end` that vcpu's L2 reached it; `released` is later.
        """
        entries = self._of_vcpu.get(vcpu)
        found = None if entries is None else entries.longest(start, end)
        return None if found is None else found.epoch.after(released)

    def stale_page(
        self, vcpu: int, start: int, end: int, released: int, pages: range
    ) -> Entry | None:
        """The same of pages that the L2 found by its own tables. `pages`: their numbers there.

        Of these INVLPGA takes one at a time. Under nested paging it is by addresses that the L2's
        tables had, which nobody knows.
        """
        found = self.stale(vcpu, start, end, released)
        if found is None or not self._forgotten:
            return found
        for entry in self._of_vcpu[vcpu].last_of_each_tlb(end):
            self._looks -= 1
            if self._looks < 0:
                return found
            used = entry.epoch.after(released) if entry.end > start else None
            if used is not None and not self._all_forgotten(entry, used, pages):
                return used
        return None

    def _all_forgotten(self, entry: Entry, used: Entry, pages: range) -> bool:
        """Whether each was taken from the TLB after one VMRUN and before another."""
        for page in pages:
            told = self._forgotten.get((entry.cpu, entry.asid, page), [])
            at = bisect_right(told, entry.end)
            self._looks -= 1
            if self._looks < 0 or at == len(told) or told[at] > used.start:
                return False
        return True


REFUSED = -1

MOST_LOOKS = 1 << 20
"""For what INVLPGA took, in one run, whatever the ledger says. After that it took nothing."""


def _invlpgas(run: Run) -> dict[tuple[int, int, int], list[int]]:
    """Their sequences by CPU, ASID and page of the L2."""
    found: defaultdict[tuple[int, int, int], list[int]] = defaultdict(list)
    told = run.records[run.records["type"] == Type.INVLPGA]
    columns = (told[name].tolist() for name in ("cpu", "detail", "pointer", "sequence"))
    for cpu, asid, address, sequence in zip(*columns, strict=True):
        found[cpu, asid, address >> 12].append(sequence)
    return dict(found)


def _exit(entry: Entry | None, record: np.void) -> None:
    if entry is not None:
        refused = int(record["detail"]) == EXIT_INVALID
        entry.end = REFUSED if refused else int(record["sequence"])


def _flush_by_asid(run: Run) -> set[int]:
    """The CPUs that can (CPUID Fn8000_000A_EDX[6])."""
    states = run.records[run.records["type"] == Type.CPU_STATE]
    able = states["detail"] & (CPU_STATE_FLUSH_BY_ASID | CPU_STATE_SILENT)
    return set(states["serial"][able == CPU_STATE_FLUSH_BY_ASID].tolist())


class _Entries:
    """The VMRUNs of one vcpu, and of any row of them that whose epoch was used the longest."""

    def __init__(self, entries: list[Entry]) -> None:
        self._starts = [entry.start for entry in entries]
        self._by_tlb: dict[tuple[int, int], list[Entry]] = {}
        for entry in entries:
            self._by_tlb.setdefault((entry.cpu, entry.asid), []).append(entry)
        # A tree: the leaves are the entries, each node the better one of the two below.
        self._best: list[Entry] = entries + entries
        for node in range(len(entries) - 1, 0, -1):
            self._best[node] = _longer(self._best[2 * node], self._best[2 * node + 1])

    def last_of_each_tlb(self, end: int) -> Iterator[Entry]:
        """By CPU and ASID, the last one before a moment."""
        for entries in self._by_tlb.values():
            at = bisect_left(entries, end, key=lambda entry: entry.start)
            if at:
                yield entries[at - 1]

    def longest(self, start: int, end: int) -> Entry | None:
        """Of those in guest mode between two moments."""
        first = bisect_left(self._starts, start)
        # A vcpu is entered once at a time.
        first -= first > 0 and self._best[len(self._starts) + first - 1].end > start
        low = first + len(self._starts)
        high = bisect_left(self._starts, end) + len(self._starts)
        found: Entry | None = None
        while low < high:
            if low & 1:
                found = _longer(self._best[low], found)
                low += 1
            if high & 1:
                high -= 1
                found = _longer(self._best[high], found)
            low, high = low >> 1, high >> 1
        return found


def _longer(one: Entry, other: Entry | None) -> Entry:
    if other is None:
        return one
    return max(one, other, key=lambda entry: entry.epoch.entries[-1].end)
