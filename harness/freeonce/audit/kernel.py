"""The kernel witness: what slab and page allocator saw, held against the owner's account.

The module keeps released memory until it settles the run. So by both accounts an
allocation lives from `allocate` to `reclaim`; in between the kernel must see nothing.
"""

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field

import numpy as np

from freeonce.audit.families import of_subjects
from freeonce.audit.model import Finding, Rule
from freeonce.audit.rules import KIND_NAMES
from freeonce.audit.run import Dispute, Mask
from freeonce.evidence.ledger import GUARD_BYTES, Flag, Kind, Records, Type, Witness, among, choose

PAGE = 4096
PROBES = 0x7FFF
"""Those of `witness_on` (guest/LEDGER.md): all must have been attached. A scenario's own code takes
of the kernel what a module's takes."""


@dataclass
class Block:
    """Memory that the kernel gave out, from `start`. `owner`: the ledger's record of it."""

    record: np.void
    start: int
    size: int
    owner: np.void | None = None
    reclaimed: bool = False
    left: int = 0
    released: bool = False


@dataclass
class Walk:
    """Both accounts, gone through in order."""

    blocks: list[Block] = field(default_factory=list)
    open: dict[int, Block] = field(default_factory=dict)
    starts: list[int] = field(default_factory=list)
    owned: dict[int, Block] = field(default_factory=dict)
    disputes: list[Dispute] = field(default_factory=list)
    strays: list[np.void] = field(default_factory=list)
    handed_on: int | None = None

    def dispute(self, record: np.void, text: str) -> None:
        """Note that the accounts differ about the address of `record`."""
        self.disputes.append(Dispute(record, text, "kernel"))

    def add(self, block: Block) -> None:
        """A block is open until all of it was released."""
        block.left = block.size
        self.blocks.append(block)
        self.open[block.start] = block
        insort(self.starts, block.start)

    def close(self, block: Block) -> None:
        """All of it went back."""
        block.released = True
        del self.open[block.start]
        del self.starts[bisect_right(self.starts, block.start) - 1]

    def overlapping(self, start: int, size: int) -> list[Block]:
        """The open blocks that share bytes with these. No two open ones share any."""
        first = max(bisect_right(self.starts, start) - 1, 0)
        behind = bisect_left(self.starts, start + max(size, 1))
        found = [self.open[at] for at in self.starts[first:behind]]
        return [one for one in found if one.start >= start or one.start + one.size > start]

    def holding(self, pointer: int) -> Block | None:
        """The open block that holds an address."""
        index = bisect_right(self.starts, pointer) - 1
        if index < 0:
            return None
        block = self.open[self.starts[index]]
        return block if pointer < block.start + block.size else None


def attached(records: Records) -> bool:
    """Whether every probe was there from the begin of the run, before anything was done."""
    on = records["type"] == Type.WITNESS_ON
    if np.count_nonzero(on) != 1 or records["type"][0] != Type.BEGIN or not on[1]:
        return False
    attached = int(records["detail"][1]) & PROBES == PROBES
    return bool(records["witness"][1] == Witness.KERNEL) and attached


def compare(records: Records) -> tuple[list[Finding], list[Dispute]]:
    """Findings of `unledgered`, and where both accounts speak and differ."""
    subjects = of_subjects(records["kind"])
    past = _past_wrappers(records, subjects)
    findings, disputes = _of_pools(choose(records, ~subjects))
    return findings + past, disputes


def _past_wrappers(records: Records, subjects: Mask) -> list[Finding]:
    """`unledgered`: what a subject took by a function without a wrapper, and nobody released."""
    kernel = records["witness"] == Witness.KERNEL
    outside = (records["serial"] == 0) & (records["flags"] & Flag.WRAPPED == 0)
    taken = np.flatnonzero(subjects & kernel & outside & (records["type"] == Type.ALLOCATE))
    if not len(taken):
        return []
    released = (records["type"] == Type.RELEASE) & (records["flags"] & Flag.WITHHELD == 0)
    given = np.flatnonzero(subjects & released)
    # The last of each address that either took or gave: what it took is still there.
    both = np.union1d(taken, given)
    pointers = records["pointer"][both][::-1]
    last = both[::-1][np.unique(pointers, return_index=True)[1]]
    text = "taken past the wrappers and never released"
    return [_unledgered(records[i], text) for i in np.intersect1d(last, taken)]


def _of_pools(records: Records) -> tuple[list[Finding], list[Dispute]]:
    """Of the memory that our own allocators give: both accounts tell all of it."""
    if _plainly_agree(records):
        return [], []
    walk = Walk()
    for record in records:
        _step(walk, record)
    settled = bool(np.any(records["type"] == Type.SETTLED))
    mentioned = sorted(_mentioned(records))
    findings = [
        _unledgered(record, "released past the ledger, seen by the kernel")
        for record in walk.strays
        if not _of_the_kernel(record, mentioned)
    ]
    for block in walk.blocks:
        if block.owner is None:
            _without_owner(walk, block, mentioned, findings)
        elif settled:
            _at_the_end(walk, block)
    return findings, walk.disputes


def _plainly_agree(records: Records) -> bool:
    """Whether both tell the same in the same order, each thing once: no need to walk then.

    Whole arrays at a time. False says nothing: pages that go back one by one, say, need
    the walk.
    """
    kernel = records["witness"] == Witness.KERNEL
    kinds = records["type"]
    made = np.flatnonzero(kernel & (kinds == Type.ALLOCATE))
    told = np.flatnonzero(~kernel & (kinds == Type.ALLOCATE))
    gone = np.flatnonzero(kernel & (kinds == Type.RELEASE))
    back = np.flatnonzero(~kernel & (kinds == Type.RECLAIM))
    count = len(told)
    if not (len(made) == len(gone) == len(back) == count):
        return False
    # Each is made and then told, and all are told before any goes back.
    if np.any(made > told) or (count and min(back[0], gone[0]) < told[-1]):
        return False
    pointer, size, kind = records["pointer"], records["size"], records["kind"]
    inside = (pointer[made] <= pointer[told]) & (
        pointer[told] + size[told] <= pointer[made] + size[made]
    )
    if not np.all(inside & (kind[made] == kind[told])):
        return False
    # Those that go back are those that were made, each once.
    order, other = np.argsort(pointer[made]), np.argsort(pointer[gone])
    starts = pointer[made][order]
    whole = (kind[gone][other] == Kind.POOL) | (size[gone][other] == size[made][order])
    return bool(
        np.all(starts[1:] > starts[:-1])
        and np.all(starts[1:] >= starts[:-1] + size[made][order][:-1])
        and np.array_equal(starts, pointer[gone][other])
        and np.array_equal(kind[made][order], kind[gone][other])
        and np.all(whole)
        and np.array_equal(records["serial"][told][order], records["serial"][back][other])
        and np.array_equal(pointer[told][order], pointer[back][other])
    )


def _step(walk: Walk, record: np.void) -> None:
    by_kernel = record["witness"] == Witness.KERNEL
    match Type(int(record["type"])):
        case Type.ALLOCATE if by_kernel:
            _kernel_allocates(walk, record)
        case Type.RELEASE if by_kernel:
            _kernel_releases(walk, record)
        case Type.ALLOCATE:
            _ledger_allocates(walk, record)
        case Type.RECLAIM:
            _ledger_reclaims(walk, record)
        case _:
            pass


def _kernel_allocates(walk: Walk, record: np.void) -> None:
    start, size = int(record["pointer"]), int(record["size"])
    for other in walk.overlapping(start, size):
        walk.dispute(record, "the kernel gave out an address that was not released to it")
        walk.close(other)
    walk.add(Block(record, start, size))


def _ledger_allocates(walk: Walk, record: np.void) -> None:
    pointer, size = int(record["pointer"]), int(record["size"])
    if int(record["flags"]) & Flag.RANGE:
        # alloc_contig_range() has no tracepoint; its release has.
        start, pages = pointer - pointer % PAGE, -(-(size + GUARD_BYTES) // PAGE) * PAGE
        if walk.overlapping(start, pages):
            walk.dispute(record, "the ledger has pages by number that the kernel gave out already")
            return
        walk.add(Block(record, start, pages))
    block = walk.holding(pointer)
    if block is None or pointer + size > block.start + block.size:
        walk.dispute(record, "the ledger has an allocation here that the kernel never made")
    elif block.owner is not None:
        walk.dispute(record, "the ledger has two allocations where the kernel made one")
    elif block.record["kind"] != record["kind"]:
        walk.dispute(record, "the ledger has another kind of memory here than the kernel")
    else:
        block.owner = record
        walk.owned[int(record["serial"])] = block


def _ledger_reclaims(walk: Walk, record: np.void) -> None:
    block = walk.owned.get(int(record["serial"]))
    if block is None or block.owner is None or block.owner["pointer"] != record["pointer"]:
        walk.dispute(record, "the ledger gives back an allocation that it never had")
    else:
        block.reclaimed = True


def _kernel_releases(walk: Walk, record: np.void) -> None:
    pointer = int(record["pointer"])
    block = walk.holding(pointer)
    # kfree() of memory larger than a slab hands its pages on, by a tail call that hides it.
    if walk.handed_on == pointer and record["kind"] == Kind.CONTIGUOUS:
        walk.handed_on = None
        return
    if block is None or (record["kind"] == Kind.POOL and block.start != pointer):
        walk.strays.append(record)
        return
    # Slab memory goes back whole; pages may go one by one.
    block.left -= block.size if record["kind"] == Kind.POOL else int(record["size"])
    if block.left <= 0:
        walk.close(block)
        large = record["kind"] == Kind.POOL and block.size >= PAGE
        walk.handed_on = pointer if large else None


def _mentioned(records: Records) -> set[int]:
    """Every address of which the owner's account says that it had it."""
    speaks = (records["witness"] == Witness.LEDGER) & (
        among(records["type"], (Type.ALLOCATE, Type.RECLAIM))
        | ((records["type"] == Type.RELEASE) & (records["serial"] != 0))
    )
    return {int(pointer) for pointer in records["pointer"][speaks]}


def _of_the_kernel(record: np.void, mentioned: list[int]) -> bool:
    """Whether a function of the kernel's, called by ours, released memory of its own."""
    by_tail = bool(int(record["flags"]) & Flag.TAIL)
    pointer = int(record["pointer"])
    index = bisect_left(mentioned, pointer)
    return by_tail and (index == len(mentioned) or mentioned[index] != pointer)


def _without_owner(walk: Walk, block: Block, mentioned: list[int], findings: list[Finding]) -> None:
    index = bisect_left(mentioned, block.start)
    if index == len(mentioned) or mentioned[index] >= block.start + block.size:
        what = "allocated and released" if block.released else "allocated and never released"
        findings.append(_unledgered(block.record, f"{what} past the ledger, seen by the kernel"))
        return
    record = block.record.copy()
    record["pointer"] = mentioned[index]
    walk.dispute(record, "the kernel made an allocation here that is not in the ledger")


def _at_the_end(walk: Walk, block: Block) -> None:
    assert block.owner is not None
    # What went back without the ledger's knowledge is a finding of its own.
    if not block.reclaimed and not block.released:
        walk.dispute(block.owner, "the ledger never gave it back")
    elif not block.released:
        walk.dispute(block.owner, "the ledger gave it back; the kernel never got it")


def _unledgered(record: np.void, detail: str) -> Finding:
    return Finding(
        rule=Rule.UNLEDGERED,
        kind=KIND_NAMES[Kind(int(record["kind"]))],
        sequence=int(record["sequence"]),
        pointer=int(record["pointer"]),
        site=int(record["site"]),
        size=int(record["size"]) or None,
        detail=detail,
        witness="kernel",
    )
