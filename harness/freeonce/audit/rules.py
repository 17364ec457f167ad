"""The rules on the owner's own account. Whole arrays at a time, so that ten million do.

Every rule looks at a `Run`. Where the account contradicts itself (an allocation twice,
a release of one that never was) there is a dispute, and no rule speaks about that
address.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from freeonce.audit.model import Finding, Rule
from freeonce.evidence.ledger import (
    ALIGN_INVALID,
    Flag,
    Kind,
    Records,
    Type,
    Witness,
    choose,
    signed,
    text_of,
)

Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

KIND_NAMES = {kind: kind.name.lower() for kind in Kind}

# The PAT's cache types (AMD manual volume 2, 7.8.1). Linux gives UC- for uncached.
CACHE_NAMES = {0: "UC", 1: "WC", 4: "WT", 5: "WP", 6: "WB", 7: "UC-"}
UNCACHED = {0, 7}
WRITE_BACK = 6

NONE = -1

OF_A_CPU = (Type.OPERAND, Type.CPU_STATE, Type.HOST_REGISTER)
"""In the place of `pointer` they carry something else."""

STEPLESS = {Rule.LEAK, Rule.USE_AFTER_FREE, Rule.OUT_OF_BOUNDS}


@dataclass(frozen=True)
class Dispute:
    """Two accounts of one address that cannot both be true. `text` names both."""

    record: np.void
    text: str
    witness: str = "ledger"

    @property
    def pointer(self) -> int:
        """The address."""
        return int(self.record["pointer"])


@dataclass(frozen=True)
class Run:
    """One run by its owner's account, taken apart.

    `records`: the owner's alone. `allocates` and `releases` are records in order.
    `target[i]`: the index in `allocates` of what release i released, NONE without one.
    `first[i]`: whether it is that allocation's first release. `late`: by index in
    `allocates`, releases after the end, which are none: their allocations leaked.
    """

    records: Records
    allocates: Records
    releases: Records
    target: Indices
    first: Mask
    late: dict[int, np.void]
    disputes: tuple[Dispute, ...]

    @cached_property
    def real(self) -> bool:
        """Whether the kernel suffered the releases: none was withheld, none kept."""
        begins = self.records[self.records["type"] == Type.BEGIN]
        return bool(np.any(begins["flags"] & Flag.REAL))

    @cached_property
    def over(self) -> bool:
        """Whether the scenario came to its end."""
        return bool(np.any(self.records["type"] == Type.END))

    @cached_property
    def released(self) -> Mask:
        """Which allocations a release names."""
        released = np.zeros(len(self.allocates), dtype=np.bool_)
        released[self.target[self.target != NONE]] = True
        return released

    @cached_property
    def labels(self) -> dict[int, str]:
        """Names of allocations by serial."""
        chosen = self.records[self.records["type"] == Type.LABEL]
        return {int(record["serial"]): text_of(record) for record in chosen}

    @cached_property
    def steps(self) -> Records:
        """The steps that the scenario named."""
        chosen: Records = self.records[self.records["type"] == Type.STEP]
        return chosen

    @cached_property
    def by_pointer(self) -> Records:
        """The allocations in the order of their addresses."""
        return self.allocates[np.argsort(self.allocates["pointer"], kind="stable")]

    def step_before(self, sequence: int) -> str | None:
        """The last step that the scenario named before a record."""
        index = int(np.searchsorted(self.steps["sequence"], sequence)) - 1
        return text_of(self.steps[index]) if index >= 0 else None

    def around(self, release: np.void) -> np.void | None:
        """The allocation, made before a release, that its pointer lies inside of."""
        pointer = int(release["pointer"])
        index = int(np.searchsorted(self.by_pointer["pointer"], pointer, side="right")) - 1
        if index < 0:
            return None
        found: np.void = self.by_pointer[index]
        inside = pointer - int(found["pointer"]) < int(found["size"])
        return found if inside and found["sequence"] < release["sequence"] else None


def take_apart(everything: Records) -> Run:
    """Pair releases with allocations, and find what contradicts itself.

    The guest's serial in a release is checked, never believed: the allocation must
    exist, begin at that pointer and come before. Within a run no address is given out
    twice, so the pairing is the only one possible.
    """
    records = choose(everything, everything["witness"] == Witness.LEDGER)
    allocates = choose(records, records["type"] == Type.ALLOCATE)
    every = choose(records, records["type"] == Type.RELEASE)
    over = every["sequence"] > end_of(records)
    releases = choose(every, ~over)
    target = _targets(allocates, releases)
    first = np.zeros(len(releases), dtype=np.bool_)
    named = np.flatnonzero(target != NONE)
    _, earliest = np.unique(target[named], return_index=True)
    first[named[earliest]] = True
    disputes = (
        *_disputed_allocates(allocates),
        *_disputed_releases(allocates, releases, target),
        *_disputed_reclaims(records),
        *_disputed_kinds(records),
        *_disputed_constraints(records, allocates),
    )
    late = _late(allocates, target, choose(every, over))
    return Run(records, allocates, releases, target, first, late, disputes)


def end_of(records: Records) -> int:
    """The sequence of a run's end; behind every sequence when it has none."""
    ends = records["sequence"][records["type"] == Type.END]
    return int(ends[0]) if len(ends) else 1 << 32


def _late(allocates: Records, target: Indices, releases: Records) -> dict[int, np.void]:
    """The first release after the end of each allocation that was live then.

    A module that has settled the run knows the allocation no more, so its serial is 0 then.
    """
    if not len(releases):
        return {}
    live = np.setdiff1d(np.arange(len(allocates)), target)
    by_pointer = dict(zip(allocates["pointer"][live].tolist(), live.tolist(), strict=True))
    late: dict[int, np.void] = {}
    for release in releases:
        index = by_pointer.get(int(release["pointer"]))
        if index is not None and int(release["serial"]) in (0, int(allocates["serial"][index])):
            late.setdefault(index, release)
    return late


def _targets(allocates: Records, releases: Records) -> Indices:
    """For each release the index of its allocation, NONE where the guest's word does not hold."""
    target = np.full(len(releases), NONE, dtype=np.intp)
    if not len(allocates):
        return target
    serials = np.ascontiguousarray(allocates["serial"])
    order = np.argsort(serials, kind="stable")
    place = np.searchsorted(serials[order], releases["serial"])
    place = order[np.minimum(place, len(order) - 1)]
    fits = (
        (serials[place] == releases["serial"])
        & (allocates["pointer"][place] == releases["pointer"])
        & (allocates["sequence"][place] < releases["sequence"])
    )
    target[fits] = place[fits]
    return target


def _disputed_allocates(allocates: Records) -> list[Dispute]:
    serials = allocates["serial"].astype(np.int64)
    highest = np.maximum.accumulate(np.concatenate(([0], serials)))[:-1]
    found = [
        Dispute(record, f"the ledger gives out serial {record['serial']} out of order")
        for record in allocates[serials <= highest]
    ]
    _, once = np.unique(allocates["pointer"], return_index=True)
    if len(once) != len(allocates):
        again = np.ones(len(allocates), dtype=np.bool_)
        again[once] = False
        found += [
            Dispute(record, "the ledger gives out this address twice in one run")
            for record in allocates[again]
        ]
    return found


def _disputed_releases(allocates: Records, releases: Records, target: Indices) -> list[Dispute]:
    found = []
    unpaired = releases[target == NONE]
    if not len(unpaired):
        return []
    same = np.isin(allocates["pointer"], unpaired["pointer"])
    starts, once = np.unique(allocates["pointer"][same], return_index=True)
    sequences = allocates["sequence"][same][once]
    since = dict(zip(starts.tolist(), sequences.tolist(), strict=True))
    for release in unpaired:
        if release["serial"] != 0:
            text = f"a release names allocation {release['serial']}, which the ledger has not"
            found.append(Dispute(release, text))
        elif since.get(int(release["pointer"]), release["sequence"]) < release["sequence"]:
            found.append(Dispute(release, "a release of a known allocation names none"))
    return found


def _disputed_kinds(records: Records) -> list[Dispute]:
    kinds = (Type.ALLOCATE, Type.RELEASE, Type.RECLAIM)
    chosen = np.isin(records["type"], kinds) & (records["kind"] == Kind.NONE)
    return [Dispute(record, "memory of no kind") for record in records[chosen]]


def _disputed_constraints(records: Records, allocates: Records) -> list[Dispute]:
    """Contiguous memory comes with exactly one word on what was asked for."""
    serials = records["serial"][records["type"] == Type.CONSTRAINT]
    known, counts = np.unique(serials, return_counts=True)
    contiguous = allocates[allocates["kind"] == Kind.CONTIGUOUS]
    wrong = ~np.isin(contiguous["serial"], known[counts == 1])
    text = "the ledger does not say once what was asked for here"
    return [Dispute(record, text) for record in contiguous[wrong]]


def _disputed_reclaims(records: Records) -> list[Dispute]:
    begins = records[records["type"] == Type.BEGIN]
    if np.any(begins["flags"] & Flag.REAL):
        return []
    early = (records["type"] == Type.RECLAIM) & (records["sequence"] < end_of(records))
    text = "memory went back to the kernel while the scenario ran"
    return [Dispute(record, text) for record in records[early]]


def make_finding(
    run: Run,
    rule: Rule,
    record: np.void,
    allocate: np.void | None,
    detail: str = "",
    *,
    witness: str = "ledger",
    gpa: int | None = None,
) -> Finding:
    """A finding at `record`, about an allocation where there is one.

    `gpa`: of an address given to the CPU.
    """
    about = record if allocate is None else allocate
    serial = 0 if allocate is None else int(allocate["serial"])
    sequence = int(record["sequence"])
    return Finding(
        rule=rule,
        kind=KIND_NAMES[Kind(int(about["kind"]))],
        sequence=sequence,
        pointer=None if about["type"] in OF_A_CPU else int(about["pointer"]),
        site=int(record["site"]),
        # What did not happen, or was only found later, happened at no known step.
        at=None if rule in STEPLESS else run.step_before(sequence),
        what=run.labels.get(serial),
        serial=serial,
        size=None if allocate is None else int(allocate["size"]),
        detail=detail,
        witness=witness,
        cpu=int(record["cpu"]),
        gpa=gpa,
    )


def leaks(run: Run) -> list[Finding]:
    """`leak`: allocated, and no release names it by the end of the run.

    Not proven while the run is not over: it may still have come.
    """
    if not run.over:
        return []
    return [_leak(run, int(index)) for index in np.flatnonzero(~run.released)]


def _leak(run: Run, index: int) -> Finding:
    record, late = run.allocates[index], run.late.get(index)
    if late is None:
        return make_finding(run, Rule.LEAK, record, record)
    found = make_finding(run, Rule.LEAK, record, record, "released only after the end")
    return replace(found, released_site=int(late["site"]))


def null_frees(run: Run) -> list[Finding]:
    """`null-free`: a release of null. Harmless to kfree(), fatal to other calls."""
    chosen = run.releases[run.releases["pointer"] == 0]
    return [make_finding(run, Rule.NULL_FREE, record, None) for record in chosen]


def invalid_frees(run: Run) -> list[Finding]:
    """`invalid-free`: a pointer at which no allocation of this run begins."""
    found = []
    for record in run.releases[(run.target == NONE) & (run.releases["pointer"] != 0)]:
        allocate = run.around(record)
        detail = "never allocated"
        if allocate is not None:
            detail = f"{int(record['pointer']) - int(allocate['pointer'])} bytes inside of it"
        found.append(make_finding(run, Rule.INVALID_FREE, record, allocate, detail))
    return found


def double_frees(run: Run) -> list[Finding]:
    """`double-free`: any release of an allocation after its first one."""
    again = np.flatnonzero((run.target != NONE) & ~run.first)
    return [
        make_finding(run, Rule.DOUBLE_FREE, run.releases[i], run.allocates[run.target[i]])
        for i in again
    ]


def mismatched_frees(run: Run) -> list[Finding]:
    """`mismatched-free`: the first release by a call that does not match the kind."""
    once = np.flatnonzero(run.first)
    wrong = once[run.releases["kind"][once] != run.allocates["kind"][run.target[once]]]
    found = []
    for i in wrong:
        call = KIND_NAMES[Kind(int(run.releases[i]["kind"]))]
        allocate = run.allocates[run.target[i]]
        detail = f"by the {call} call"
        found.append(make_finding(run, Rule.MISMATCHED_FREE, run.releases[i], allocate, detail))
    return found


def wrong_size_frees(run: Run) -> list[Finding]:
    """`wrong-size-free`: the first release by the right call with another layout."""
    once = np.flatnonzero(run.first)
    target = run.target[once]

    def differs(name: str) -> Mask:
        unlike: Mask = run.releases[name][once] != run.allocates[name][target]
        return unlike

    wrong = ~differs("kind") & (differs("size") | differs("align_log2"))
    found = []
    for i in once[wrong]:
        record, allocate = run.releases[i], run.allocates[run.target[i]]
        detail = f"as {layout(record)}, allocated as {layout(allocate)}"
        found.append(make_finding(run, Rule.WRONG_SIZE_FREE, record, allocate, detail))
    return found


def layout(record: np.void) -> str:
    """Size and alignment of a record in words."""
    log2 = int(record["align_log2"])
    align = "no power of two" if log2 == ALIGN_INVALID else f"{1 << log2}"
    return f"{int(record['size'])} bytes aligned to {align}"


def misplaced(run: Run) -> list[Finding]:
    """`misplaced`: alignment, range, boundary, cache type or node not as asked for."""
    found = []
    constraints = run.records[run.records["type"] == Type.CONSTRAINT]
    by_serial = {int(record["serial"]): record for record in constraints}
    for allocate in run.allocates[_suspects(run.allocates)]:
        broken = _misalignment(allocate)
        constraint = by_serial.get(int(allocate["serial"]))
        if constraint is not None:
            broken += _broken_constraints(allocate, constraint)
        if broken:
            found.append(make_finding(run, Rule.MISPLACED, allocate, allocate, "; ".join(broken)))
    return found


def _suspects(allocates: Records) -> Mask:
    """What needs a closer look: contiguous memory, and pool memory off its alignment."""
    log2 = allocates["align_log2"].astype(np.uint64)
    mask = (np.uint64(1) << np.minimum(log2, np.uint64(63))) - np.uint64(1)
    off = (log2 >= 64) | (allocates["pointer"] & mask != 0)
    suspects: Mask = off | (allocates["kind"] == Kind.CONTIGUOUS)
    return suspects


def _misalignment(allocate: np.void) -> list[str]:
    log2 = int(allocate["align_log2"])
    if log2 >= 64:
        return ["alignment is no power of two"]
    # A contiguous owner needs it of the gpa, a pool owner of the gva; below a page they agree.
    address = "physical" if allocate["kind"] == Kind.CONTIGUOUS else "pointer"
    if int(allocate[address]) & ((1 << log2) - 1):
        return [f"{int(allocate[address]):#x} is not aligned to {1 << log2}"]
    return []


def _broken_constraints(allocate: np.void, constraint: np.void) -> list[str]:
    start = int(allocate["physical"])
    last = start + int(allocate["size"]) - 1
    lowest, highest = int(constraint["pointer"]), int(constraint["physical"])
    boundary = int(constraint["size"])
    broken = []
    if start < lowest or last > highest:
        broken.append(f"{start:#x}..{last:#x} is not inside {lowest:#x}..{highest:#x}")
    if boundary and start // boundary != last // boundary:
        broken.append(f"{start:#x}..{last:#x} crosses a multiple of {boundary:#x}")
    cache, asked = int(allocate["detail"]) & 0xFF, int(constraint["detail"]) & 0xFF
    if cache != asked and not {cache, asked} <= UNCACHED:
        broken.append(f"cache type {_cache_name(cache)}, asked for {_cache_name(asked)}")
    node, wanted = int(allocate["detail"]) >> 8, int(constraint["detail"]) >> 8
    if wanted and node != wanted:
        broken.append(f"on node {node - 1}, asked for node {wanted - 1}")
    return broken


def _cache_name(cache: int) -> str:
    return CACHE_NAMES.get(cache, f"{cache}")


def not_restored(run: Run) -> list[Finding]:
    """`not-restored`: page attributes after a release."""
    found = []
    left = run.records[(run.records["type"] == Type.RESTORED)]
    for record in left[left["detail"] != WRITE_BACK]:
        detail = f"still cache type {_cache_name(int(record['detail']))} after its release"
        about = run.allocates[run.allocates["serial"] == record["serial"]]
        allocate = about[0] if len(about) else None
        found.append(make_finding(run, Rule.NOT_RESTORED, record, allocate, detail))
    return found


def reasons(run: Run) -> Iterator[str]:
    """What the owner must have told of a release and did not."""
    serials = run.records["serial"][run.records["type"] == Type.RESTORED]
    known, counts = np.unique(serials, return_counts=True)
    kept = run.first & (run.releases["flags"] & Flag.WITHHELD == 0)
    gone = run.allocates[run.target[kept & (run.target != NONE)]]
    other = (gone["kind"] == Kind.CONTIGUOUS) & (gone["detail"] & 0xFF != WRITE_BACK)
    if not np.all(np.isin(gone["serial"][other], known[counts == 1])):
        yield "the cache type of released memory was not told once"


RULES = (
    null_frees,
    invalid_frees,
    double_frees,
    mismatched_frees,
    wrong_size_frees,
    misplaced,
    not_restored,
    leaks,
)


def unwithheld(run: Run, findings: list[Finding]) -> list[Dispute]:
    """Releases that the guest should have kept from the kernel and did not, or the other way.

    A faulty release that reached the kernel may have ruined the rest of the evidence.
    """
    if run.real:
        return []
    keeps = {
        *(Rule.NULL_FREE, Rule.INVALID_FREE, Rule.DOUBLE_FREE, Rule.MISMATCHED_FREE),
        Rule.HARDWARE_USE_AFTER_FREE,
    }
    faulty = [finding.sequence for finding in findings if finding.rule in keeps]
    withheld = run.releases["flags"] & Flag.WITHHELD != 0
    should = np.isin(run.releases["sequence"], np.array(faulty, dtype=np.uint32))
    found = [
        Dispute(record, "a faulty release was not withheld from the kernel")
        for record in run.releases[should & ~withheld]
    ]
    return found + [
        Dispute(record, "a sound release was withheld from the kernel")
        for record in run.releases[withheld & ~should]
    ]


def status_of(records: Records) -> int | None:
    """What the scenario returned: 0, a negative error number, or None when it never ended."""
    ends = records[records["type"] == Type.END]
    return signed(int(ends[0]["detail"])) if len(ends) == 1 else None
