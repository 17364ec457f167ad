"""The rules on the owner's own account. Whole arrays at a time, so that ten million do.

Every rule looks at a `Run`, whatever is judged: a scenario or the life of a module.
"""

import errno
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from freeonce.audit.alike import NOBODY, Apart, alike, counted, of_allocates, of_releases
from freeonce.audit.families import FAMILIES, of_subjects, right_call, takes_null
from freeonce.audit.model import Finding, Rule
from freeonce.audit.run import NONE, Dispute, Indices, Mask, Run
from freeonce.evidence.ledger import (
    ALIGN_INVALID,
    POISON_RELEASED,
    Broken,
    Flag,
    Kind,
    Records,
    Type,
    choose,
    within,
)

KIND_NAMES = {kind: kind.name.lower() for kind in Kind}

# The PAT's cache types (AMD manual volume 2, 7.8.1). Linux gives UC- for uncached.
CACHE_NAMES = {0: "UC", 1: "WC", 4: "WT", 5: "WP", 6: "WB", 7: "UC-"}
UNCACHED = {0, 7}
WRITE_BACK = 6

PAGE = 4096

OF_A_CPU = (Type.OPERAND, Type.VMRUN, Type.PAGE_FREED, Type.CPU_STATE, Type.HOST_REGISTER)
"""In the place of `pointer` they carry something else."""

STEPLESS = {Rule.LEAK, Rule.USE_AFTER_FREE, Rule.OUT_OF_BOUNDS}


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
        pointer=None if int(about["type"]) in OF_A_CPU else int(about["pointer"]),
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
        allocated_site=0 if allocate is None else int(allocate["site"]),
    )


def leaks(run: Run, apart: Apart = NOBODY) -> list[Finding]:
    """`leak`: allocated, and nobody released it by the end of the run.

    Not proven while the run is not over: it may still have come.
    """
    if not run.over:
        return []
    left = np.flatnonzero(~run.released)
    sites, kinds = run.allocates["site"][left], run.allocates["kind"][left]
    # What was released too late has a second stack.
    late = np.zeros(len(left), dtype=np.intp)
    of_late = np.flatnonzero(within(left, list(run.late)))
    late[of_late] = [int(run.late[index]["site"]) + 1 for index in left[of_late].tolist()]
    found = alike(run, sites, (kinds, late), of_allocates(run, left), apart)
    return [counted(_leak(run, int(left[i])), count, total) for i, count, total in found]


def _leak(run: Run, index: int) -> Finding:
    record, late = run.allocates[index], run.late.get(index)
    if late is None:
        return make_finding(run, Rule.LEAK, record, record)
    found = make_finding(run, Rule.LEAK, record, record, "released only after the end")
    return replace(found, released_site=int(late["site"]))


def null_frees(run: Run, apart: Apart = NOBODY) -> list[Finding]:
    """`null-free`: a release of null by a call that does not take it.

    Where one function of a family takes null and another does not, the module withholds what
    is wrong.
    """
    return [
        counted(make_finding(run, Rule.NULL_FREE, run.releases[i], None), count, total)
        for i, count, total in _each(run, _of_null(run), apart)
    ]


def _of_null(run: Run) -> Mask:
    kinds = run.releases["kind"]
    wrong: Mask = (
        ~takes_null(kinds) & (~of_subjects(kinds) | _withheld(run)) & (run.releases["pointer"] == 0)
    )
    return wrong


def _each(run: Run, chosen: Mask, apart: Apart) -> Iterator[tuple[int, int, int]]:
    """The indices of these releases, with how many each stands for and of how many bytes.

    In a life the first of one family, call and stack stands for all: a module that releases the
    same again and again makes one finding.
    """
    found = np.flatnonzero(chosen)
    index = run.target[found]
    named = index != NONE
    made, first = np.zeros_like(found), np.zeros_like(found)
    made[named] = run.allocates["kind"][index[named]]
    first[named] = _released_sites(run, index[named])
    site, kinds = run.releases["site"][found], run.releases["kind"][found]
    for i, count, total in alike(run, site, (kinds, made, first), of_releases(run, found), apart):
        yield int(found[i]), count, total


def _withheld(run: Run) -> Mask:
    withheld: Mask = run.releases["flags"] & Flag.WITHHELD != 0
    return withheld


def invalid_frees(run: Run) -> list[Finding]:
    """`invalid-free`: a pointer at which no allocation of this run begins, or none of ours.

    A subject may release what the kernel gave it by other ways; the instrument withholds only
    what cannot be memory of that kind.
    """
    found = []
    for i in np.flatnonzero(_of_live(run) & _by_ours(run)):
        record, allocate = run.releases[i], run.allocates[run.target[i]]
        kind = KIND_NAMES[Kind(int(allocate["kind"]))]
        detail = f"it is {int(allocate['size'])} bytes {kind}, taken from the kernel itself"
        one = make_finding(run, Rule.INVALID_FREE, record, None, detail)
        found.append(replace(one, allocated_site=int(allocate["site"])))
    mine = ~of_subjects(run.releases["kind"]) | _withheld(run)
    for record in run.releases[mine & (run.target == NONE) & (run.releases["pointer"] != 0)]:
        allocate = run.around(record)
        detail = _never_allocated(int(record["pointer"]))
        if allocate is not None:
            detail = f"{int(record['pointer']) - int(allocate['pointer'])} bytes inside of it"
        found.append(make_finding(run, Rule.INVALID_FREE, record, allocate, detail))
    return found


Sizes = npt.NDArray[np.uint64]
POISONED = POISON_RELEASED * 0x0101_0101_0101_0101
SMALL = 1 << 16
"""Bytes from a pointer read in released memory within which a member of what it means may lie."""
MOST_ERRNO = 4095
"""As the kernel's ERR_PTR() has them (include/linux/err.h)."""


def _never_allocated(pointer: int) -> str:
    """What a pointer at which nothing ever was looks like."""
    if abs(pointer - POISONED) < SMALL:
        return "never allocated: it is our own poison, so somebody read released memory"
    error = (1 << 64) - pointer
    if error <= MOST_ERRNO:
        return (
            f"never allocated: it is the error -{error} ({errno.errorcode.get(error, 'unknown')})"
        )
    return "never allocated"


def double_frees(run: Run, apart: Apart = NOBODY) -> list[Finding]:
    """`double-free`: any release of an allocation after its first one."""
    found = []
    for i, count, total in _each(run, run.again, apart):
        index = int(run.target[i])
        one = make_finding(run, Rule.DOUBLE_FREE, run.releases[i], run.allocates[index])
        one = replace(one, released_site=released_site(run, index))
        found.append(counted(one, count, total))
    return found + _taken_again(run)


def _taken_again(run: Run) -> list[Finding]:
    """What the kernel released by itself, though its owner had done so and it was not due."""
    found = []
    for index in np.flatnonzero(run.taken_from != NONE):
        by_kernel, own = run.taken[run.taken_from[index]], run.first_release(int(index))
        if own is None or own["sequence"] > by_kernel["sequence"]:
            continue
        if not int(own["flags"]) & Flag.DEFERRED:
            detail = "by the kernel"
            one = make_finding(run, Rule.DOUBLE_FREE, by_kernel, run.allocates[index], detail)
            found.append(replace(one, released_site=int(own["site"])))
    return found


def released_site(run: Run, index: int) -> int:
    """Where the first release of an allocation was made; 0: nobody knows."""
    return int(_released_sites(run, np.array([index], dtype=np.intp))[0])


def _released_sites(run: Run, indices: Indices) -> Indices:
    """The same for many. Of its owner's release, else of the kernel's."""
    sites = np.zeros_like(indices)
    for place, releases in (
        (run.taken_from[indices], run.taken),
        (run.first_at[indices], run.releases),
    ):
        sites[place != NONE] = releases["site"][place[place != NONE]]
    return sites


def mismatched_frees(run: Run, apart: Apart = NOBODY) -> list[Finding]:
    """`mismatched-free`: a release of live memory by a call that is not right for it."""
    found = []
    for i, count, total in _each(run, _mismatched(run), apart):
        record, allocate = run.releases[i], run.allocates[run.target[i]]
        detail = f"by the {KIND_NAMES[Kind(int(record['kind']))]} call"
        if record["kind"] == allocate["kind"] == Kind.PAGES:
            exact = record["flags"] & Flag.EXACT
            detail = "one block, as single pages" if exact else "single pages, as one block"
        elif record["kind"] == allocate["kind"]:
            detail = "to another cache"
        one = make_finding(run, Rule.MISMATCHED_FREE, record, allocate, detail)
        found.append(counted(one, count, total))
    return found + _misnamed(run)


def _misnamed(run: Run) -> list[Finding]:
    """Releases by the right call that name another tag or cache type, or come where they may not.

    Of what a release does not name nothing is believed, as `ExFreePool` names no tag.
    """
    says = (run.releases["detail"] != 0) | (run.releases["flags"] & Flag.RAISED != 0)
    ours = within(run.releases["kind"], (Kind.POOL, Kind.CONTIGUOUS))
    chosen = np.flatnonzero(_of_live(run) & _right(run) & ours & says)
    if not len(chosen):
        return []
    found = []
    asked = {
        int(record["serial"]): int(record["detail"]) & 0xFF
        for record in run.records[run.records["type"] == Type.CONSTRAINT]
    }
    for i in chosen:
        record, allocate = run.releases[i], run.allocates[run.target[i]]
        named = int(record["detail"])
        if allocate["kind"] == Kind.POOL:
            detail = _another_tag(named, int(allocate["detail"]))
        else:
            detail = _another_cache(named, asked.get(int(allocate["serial"])))
        if not detail and int(allocate["flags"]) & Flag.PAGED and record["flags"] & Flag.RAISED:
            detail = "at DISPATCH_LEVEL or above, where paged pool may not be"
        if detail:
            found.append(make_finding(run, Rule.MISMATCHED_FREE, record, allocate, detail))
    return found


def _another_tag(named: int, tag: int) -> str:
    return (
        f"with the tag {_tag(named)}, allocated with {_tag(tag)}" if named not in (0, tag) else ""
    )


def _tag(tag: int) -> str:
    """As a driver writes it, or as a number where it is no text."""
    letters = tag.to_bytes(4, "little")
    return f"'{letters.decode()}'" if all(0x20 <= one <= 0x7E for one in letters) else f"{tag:#x}"


def _another_cache(named: int, asked: int | None) -> str:
    if not named or asked is None or named == asked + 1:
        return ""
    return f"as cache type {_cache_name(named - 1)}, asked for as {_cache_name(asked)}"


def _mismatched(run: Run) -> Mask:
    wrong: Mask = _of_live(run) & ~_right(run) & ~_by_ours(run) & ~_past(run)
    return wrong


def _of_live(run: Run) -> Mask:
    """Which releases name an allocation that was live."""
    live: Mask = (run.target != NONE) & ~run.again
    return live


def _right(run: Run) -> Mask:
    """Of each release with an allocation, whether its call is right for that memory."""
    right = np.ones(len(run.releases), dtype=np.bool_)
    named = np.flatnonzero(run.target != NONE)
    # Of a column at a time: numpy takes whole records one by one.
    made, gone = run.allocates["kind"][run.target[named]], run.releases["kind"][named]
    objects = (made == Kind.OBJECT) & (gone == Kind.OBJECT)
    same_cache = run.allocates["physical"][run.target[named]] == run.releases["physical"][named]
    right[named] = right_call(made, gone) & (~objects | same_cache)
    # Several single pages are no block, nor is a block single pages; of one it is the same.
    pages = named[(made == Kind.PAGES) & (gone == Kind.PAGES)]
    several = _in_pages(run.allocates["size"][run.target[pages]]) > 1
    made, gone = run.allocates["flags"][run.target[pages]], run.releases["flags"][pages]
    right[pages] &= ~several | (_exact(made) == _exact(gone))
    return right


def _exact(flags: npt.NDArray[np.uint8]) -> Mask:
    exact: Mask = flags & Flag.EXACT != 0
    return exact


def _by_ours(run: Run) -> Mask:
    """Which releases give what the kernel gave to our own pool or contiguous call."""
    made, gone = _sides(run)
    by_ours: Mask = made & ~gone
    return by_ours


def _past(run: Run) -> Mask:
    """Which releases give memory of our own allocators to a call of the kernel's."""
    made, gone = _sides(run)
    past: Mask = (run.target != NONE) & ~made & gone
    return past


def _sides(run: Run) -> tuple[Mask, Mask]:
    """Of each release whether its allocation is of the kernel's allocators, and its call."""
    made = np.zeros(len(run.releases), dtype=np.bool_)
    named = np.flatnonzero(run.target != NONE)
    made[named] = of_subjects(run.allocates["kind"][run.target[named]])
    return made, of_subjects(run.releases["kind"])


def wrong_size_frees(run: Run) -> list[Finding]:
    """`wrong-size-free`: a release of live memory by the right call with another layout."""
    once = np.flatnonzero(_of_live(run) & _right(run))
    made, gone = run.target[once], once
    size, told = run.allocates["size"][made], run.releases["size"][gone]
    align = run.allocates["align_log2"][made]
    differs = (size != told) | (align != run.releases["align_log2"][gone])
    # Of the subjects' families only pages are released by size, and in whole ones.
    pages = (run.releases["kind"][gone] == Kind.PAGES) & (_in_pages(size) != _in_pages(told))
    wrong = np.where(of_subjects(run.allocates["kind"][made]), pages, differs)
    found = []
    for i in once[wrong]:
        record, allocate = run.releases[i], run.allocates[run.target[i]]
        words = _bytes if allocate["kind"] == Kind.PAGES else layout
        detail = f"as {words(record)}, allocated as {words(allocate)}"
        found.append(make_finding(run, Rule.WRONG_SIZE_FREE, record, allocate, detail))
    return found


def _in_pages(size: Sizes) -> Sizes:
    pages: Sizes = size // PAGE + (size % PAGE != 0)
    return pages


def _bytes(record: np.void) -> str:
    return f"{int(record['size'])} bytes"


def broken(run: Run, apart: Apart = NOBODY) -> list[Finding]:
    """`out-of-bounds` and `use-after-free`: guards and poison that the instrument found broken."""
    found = []
    said = choose(run.records, run.records["type"] == Type.BROKEN)
    said = choose(said, within(said["detail"], list(Broken)))
    indices = run.by_serials(said["serial"])
    said, indices = choose(said, indices != NONE), indices[indices != NONE]
    sites, kinds = run.allocates["site"][indices], run.allocates["kind"][indices]
    others = (kinds, said["detail"] == Broken.POISON, _released_sites(run, indices))
    about = of_allocates(run, indices)
    for i, count, total in alike(run, sites, others, about, apart):
        record, allocate = said[i], run.allocates[indices[i]]
        rule, detail = _broken(record, allocate)
        one = make_finding(run, rule, allocate, allocate, detail, witness="memory")
        site = released_site(run, int(indices[i]))
        one = replace(one, sequence=int(record["sequence"]), released_site=site)
        found.append(counted(one, count, total))
    return found


def _broken(record: np.void, allocate: np.void) -> tuple[Rule, str]:
    at, wrong = int(record["pointer"]) - int(allocate["pointer"]), int(record["physical"])
    stands = int(record["size"]).to_bytes(8, "little").hex(" ")
    many = f"{wrong} wrong byte{'s' if wrong != 1 else ''}, from the first on: {stands}"
    match Broken(int(record["detail"])):
        case Broken.POISON if allocate["kind"] == Kind.PERCPU:
            return Rule.USE_AFTER_FREE, f"written after its release, in one CPU's part ({many})"
        case Broken.POISON:
            return Rule.USE_AFTER_FREE, f"written at byte {at} after its release ({many})"
        case Broken.BEHIND:
            behind = at - int(allocate["size"])
            return Rule.OUT_OF_BOUNDS, f"written at byte {behind} behind its end ({many})"
        case _:
            return Rule.OUT_OF_BOUNDS, f"written {-at} bytes in front of it ({many})"


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
    left = choose(run.records, run.records["type"] == Type.RESTORED)
    left = choose(left, left["detail"] != WRITE_BACK)
    for record, index in zip(left, run.by_serials(left["serial"]).tolist(), strict=True):
        detail = f"still cache type {_cache_name(int(record['detail']))} after its release"
        allocate = None if index == NONE else run.allocates[index]
        found.append(make_finding(run, Rule.NOT_RESTORED, record, allocate, detail))
    return found


def reasons(run: Run) -> Iterator[str]:
    """What the owner must have told of a release and did not."""
    serials = run.records["serial"][run.records["type"] == Type.RESTORED]
    known, counts = np.unique(serials, return_counts=True)
    kept = run.first & (run.releases["flags"] & Flag.WITHHELD == 0)
    gone = run.target[kept & (run.target != NONE)]
    gone = gone[run.allocates["kind"][gone] == Kind.CONTIGUOUS]
    other = gone[run.allocates["detail"][gone] & 0xFF != WRITE_BACK]
    if not np.all(within(run.allocates["serial"][other], known[counts == 1])):
        yield "the cache type of released memory was not recorded exactly once"


def past_the_ledger(run: Run) -> list[Finding]:
    """`unledgered`: memory of our own allocators, given to the kernel by one of its calls."""
    detail = "released past the ledger, seen by the kernel"
    found = [
        make_finding(run, Rule.UNLEDGERED, record, run.allocates[index], detail, witness="kernel")
        for index, record in run.past.items()
    ]
    for i in np.flatnonzero(_of_live(run) & _past(run)):
        record, allocate = run.releases[i], run.allocates[run.target[i]]
        detail = f"released by {FAMILIES[Kind(int(record['kind']))].call}, past the ledger"
        found.append(make_finding(run, Rule.UNLEDGERED, record, allocate, detail))
    return found


RULES = (past_the_ledger, invalid_frees, wrong_size_frees, misplaced, not_restored)
COUNTED = (broken, null_frees, double_frees, mismatched_frees, leaks)
"""Those of which one finding stands for all that are alike. Each takes what is apart."""


def unwithheld(run: Run, findings: list[Finding]) -> list[Dispute]:
    """Releases that the guest should have kept from the kernel and did not, or the other way.

    A faulty release that reached the kernel may have ruined the rest of the evidence.
    """
    if run.real:
        return []
    keeps = {
        *(Rule.NULL_FREE, Rule.INVALID_FREE, Rule.DOUBLE_FREE, Rule.MISMATCHED_FREE),
        *(Rule.HARDWARE_USE_AFTER_FREE, Rule.UNLEDGERED),
    }
    faulty = [finding.sequence for finding in findings if finding.rule in keeps]
    sized = [one.sequence for one in findings if one.rule is Rule.WRONG_SIZE_FREE]
    used = [one.sequence for one in findings if one.rule is Rule.HARDWARE_USE_AFTER_FREE]
    withheld = run.releases["flags"] & Flag.WITHHELD != 0
    # Of a subject's memory that a CPU is at, the instrument keeps what is not to be released later.
    kept = of_subjects(run.releases["kind"]) & (
        run.releases["flags"] & (Flag.KEPT | Flag.DEFERRED) != 0
    )
    withheld |= kept & within(run.releases["sequence"], np.array(used, dtype=np.uint32))
    should = within(run.releases["sequence"], np.array(faulty, dtype=np.uint32))
    # Of these one finding may stand for many.
    should |= _of_null(run) | run.again | _mismatched(run)
    # The instrument does not let pages go by another order; the pools' own memory may.
    may = within(run.releases["sequence"], np.array(sized, dtype=np.uint32))
    may &= of_subjects(run.releases["kind"])
    found = [
        Dispute(record, "a faulty release was not withheld from the kernel")
        for record in run.releases[should & ~withheld]
    ]
    return found + [
        Dispute(record, "a sound release was withheld from the kernel")
        for record in run.releases[withheld & ~should & ~may]
    ]
