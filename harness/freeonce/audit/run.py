"""One run by its owner's account, taken apart. Whole arrays at a time, so that ten million do.

Where the account contradicts itself (an allocation twice, a release of one that never was)
there is a dispute, and no rule speaks about that address.
"""

from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from freeonce.audit.families import no_memory, of_subjects
from freeonce.evidence.ledger import (
    Flag,
    Kind,
    Records,
    Type,
    Witness,
    among,
    choose,
    signed,
    within,
)
from freeonce.evidence.said import Said, whole

Indices = npt.NDArray[np.intp]
Sequences = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NONE = -1
NEVER = 1 << 32
"""Behind every sequence number."""

HELD_BACK = int(Flag.WITHHELD | Flag.KEPT | Flag.DEFERRED)
"""Flags of a release that does not reach the kernel at once."""


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

    `records`: the owner's alone, without those that it acquired or released by. `allocates` and
    `releases`: these, in order, the releases up to the end.
    `target[i]`: the index in `allocates` of what release i released, NONE without one.
    `first[i]`: whether it is that allocation's first release, `again[i]`: whether one was
    before it, by its owner or by the kernel. Of a subject's memory a release that was withheld
    is none: it stays live, and the right one may follow. `late`: by index in
    `allocates`, releases after the end, which are none: their allocations leaked.
    `taken`: the kernel's own releases of what subjects hold, without their calling it;
    `taken_from`: by index in `allocates`, where in `taken` its first such release is.
    `past`: by index in `allocates`, the kernel's release of a pool's memory that its owner
    gave to the kernel past the ledger.
    """

    records: Records
    allocates: Records
    releases: Records
    target: Indices
    first: Mask
    again: Mask
    late: dict[int, np.void]
    taken: Records
    taken_from: Indices
    past: dict[int, np.void]
    disputes: tuple[Dispute, ...]

    @cached_property
    def real(self) -> bool:
        """Whether the kernel suffered the releases: none was withheld, none kept."""
        begins = self.records[self.records["type"] == Type.BEGIN]
        return bool(np.any(begins["flags"] & Flag.REAL))

    @cached_property
    def is_life(self) -> bool:
        """Whether it began as a life."""
        begins = self.records[self.records["type"] == Type.BEGIN]
        return bool(np.any(begins["flags"] & Flag.LIFE))

    @cached_property
    def over(self) -> bool:
        """Whether the scenario came to its end."""
        return bool(np.any(self.records["type"] == Type.END))

    def freed_before(self, sequence: int) -> Mask:
        """Which allocations were released before that record, by their owner or by the kernel.

        Rightly or too late: it is what the instrument's books had then.
        """
        freed: Mask = self.taken_from != NONE
        freed[freed] = self.taken["sequence"][self.taken_from[freed]] < sequence
        freed[self.target[self.first & (self.releases["sequence"] < sequence)]] = True
        freed[[index for index, one in self.late.items() if one["sequence"] < sequence]] = True
        return freed

    @cached_property
    def released(self) -> Mask:
        """Which allocations were released, by their owner or by the kernel, rightly or wrongly."""
        released: Mask = self.taken_from != NONE
        released[list(self.past)] = True
        released[self.target[self.target != NONE]] = True
        return released

    @cached_property
    def first_at(self) -> Indices:
        """By index in `allocates`, where in `releases` its owner's first one is, NONE without."""
        found = np.full(len(self.allocates), NONE, dtype=np.intp)
        chosen = np.flatnonzero(self.first)
        found[self.target[chosen]] = chosen
        return found

    def first_release(self, index: int) -> np.void | None:
        """The owner's first release of an allocation, by its index in `allocates`."""
        place = self.first_at[index]
        found: np.void | None = None if place == NONE else self.releases[place]
        return found

    def by_serials(self, serials: npt.NDArray[np.uint32]) -> Indices:
        """For each serial the index in `allocates` of the first that has it, NONE without one.

        All at once: the allocations are put in order for each call.
        """
        found = np.full(len(serials), NONE, dtype=np.intp)
        if len(self.allocates) and len(serials):
            known = np.ascontiguousarray(self.allocates["serial"])
            order = np.argsort(known, kind="stable")
            known = known[order]
            place = np.minimum(np.searchsorted(known, serials), len(known) - 1)
            there = known[place] == serials
            found[there] = order[place[there]]
        return found

    @cached_property
    def labels(self) -> dict[int, str]:
        """Names of allocations by serial."""
        chosen = whole(self.records[self.records["type"] == Type.LABEL])
        return {int(one.record["serial"]): one.text for one in chosen}

    @cached_property
    def steps(self) -> tuple[Said, ...]:
        """The steps that the scenario named."""
        return whole(self.records[self.records["type"] == Type.STEP])

    @cached_property
    def _step_sequences(self) -> list[int]:
        return [int(one.record["sequence"]) for one in self.steps]

    @cached_property
    def by_pointer(self) -> Records:
        """The allocations in the order of their addresses, at one address as they came."""
        return self.allocates[np.argsort(self.allocates["pointer"], kind="stable")]

    @cached_property
    def _addresses(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
        """Pointers and sequences in that order; numpy copies a column before it searches in it."""
        columns = (self.by_pointer[name] for name in ("pointer", "sequence"))
        pointers, sequences = map(np.ascontiguousarray, columns)
        return pointers, sequences

    def step_before(self, sequence: int) -> str | None:
        """The last step that the scenario named before a record."""
        index = bisect_left(self._step_sequences, sequence) - 1
        return self.steps[index].text if index >= 0 else None

    def around(self, release: np.void) -> np.void | None:
        """The newest allocation, made before a release, that its pointer lies inside of."""
        pointer = int(release["pointer"])
        starts, sequences = self._addresses
        # Of numpy's own type: for a number of Python's it converts the whole array.
        behind = int(np.searchsorted(starts, release["pointer"], side="right"))
        if not behind:
            return None
        first = int(np.searchsorted(starts, starts[behind - 1]))
        there = self.by_pointer[first:behind]
        made = int(np.searchsorted(sequences[first:behind], release["sequence"]))
        if not made:
            return None
        found: np.void = there[made - 1]
        return found if pointer - int(found["pointer"]) < int(found["size"]) else None


def take_apart(everything: Records) -> Run:
    """Pair releases with allocations, and find what contradicts itself.

    The guest's serial in a release is checked, never believed: the allocation must
    exist, begin at that pointer and come before.
    """
    own, kinds = everything["witness"] == Witness.LEDGER, everything["type"]
    made, gone = kinds == Type.ALLOCATE, kinds == Type.RELEASE
    records = choose(everything, own & ~made & ~gone)
    allocates, end = choose(everything, own & made), end_of(records)
    ending = ending_of(records)
    gone &= own
    late_from = gone & (everything["sequence"] > ending)
    late_from[late_from] = ~_only_tried(allocates, choose(everything, late_from), end)
    releases = choose(everything, gone & ~late_from)
    after = choose(everything, late_from)
    taken = _taken(everything, end)
    target, taken_from = _targets(allocates, releases), _first_of(allocates, taken)
    late = _late(allocates, target[~_only_tried(allocates, releases, end)], taken_from, after)
    late |= _late_by_kernel(everything, allocates, end, late)
    passed = np.flatnonzero((target != NONE) & (releases["flags"] & HELD_BACK == 0))
    over = _over(records, allocates, (releases["sequence"][passed], target[passed]), taken)
    disputes = (
        *_disputed_allocates(allocates, over),
        *_disputed_releases(allocates, releases, target, over),
        *_disputed_taken(allocates, taken, records),
        *_disputed_reclaims(records),
        *(one for part in (allocates, releases, after, records) for one in _disputed_kinds(part)),
        *_disputed_constraints(records, allocates),
    )
    first, again = _in_turn(allocates, releases, target, _when(taken, taken_from))
    return Run(
        *(records, allocates, releases, target, first, again, late, taken, taken_from),
        _past_the_ledger(everything, allocates, records),
        disputes,
    )


def settled(run: Run, tail: Records) -> Run | None:
    """The run with the records behind it, when these only settle it: then all pairs stay.

    None when there is more to them, and the whole must be taken apart anew.
    """
    own = choose(tail, tail["witness"] == Witness.LEDGER)
    back = (own["type"] == Type.RECLAIM) & (own["kind"] != Kind.NONE)
    if not run.over or not np.all(back | (own["type"] == Type.SETTLED)) or np.any(_by_kernel(tail)):
        return None
    return replace(run, records=joined(run.records, own))


def joined(records: Records, tail: Records) -> Records:
    """Both, one behind the other."""
    both: Records = np.concatenate((records, tail))
    return both


def end_of(records: Records) -> int:
    """The sequence of a run's end; behind every sequence when it has none."""
    ends = records["sequence"][records["type"] == Type.END]
    return int(ends[0]) if len(ends) else NEVER


def ending_of(records: Records) -> int:
    """The sequence at which the instrument begins to end a run: it tells each CPU's state again.

    What is released from there on is released too late, as after the end itself. Without an
    end, and where no state is told again, it is that of the end.
    """
    end = end_of(records)
    states = records[(records["type"] == Type.CPU_STATE) & (records["sequence"] < end)]
    if end == NEVER or not len(states):
        return end
    _, last, times = np.unique(states["serial"][::-1], return_index=True, return_counts=True)
    again = states["sequence"][::-1][last[times > 1]]
    return int(again.min()) if len(again) else end


def status_of(records: Records) -> int | None:
    """What the scenario returned: 0, a negative error number, or None when it never ended."""
    ends = records[records["type"] == Type.END]
    return signed(int(ends[0]["detail"])) if len(ends) == 1 else None


def _by_kernel(records: Records) -> Mask:
    """The kernel's releases of what it has in the books, outside of the wrappers' own calls."""
    mine: Mask = (
        (records["witness"] == Witness.KERNEL)
        & (records["type"] == Type.RELEASE)
        & (records["serial"] != 0)
        & (records["flags"] & Flag.WRAPPED == 0)
        & of_subjects(records["kind"])
    )
    return mine


def _taken(everything: Records, end: int) -> Records:
    return choose(everything, _by_kernel(everything) & (everything["sequence"] < end))


def _only_tried(allocates: Records, releases: Records, end: int) -> Mask:
    """Which of these, before the end, were withheld: memory of subjects stays live then.

    So none of them is a release that came too late, whenever it came; the rules say what is wrong
    with it, and the right one may follow.
    """
    places = _places(allocates, releases)
    tried: Mask = (
        (places != NONE) & (releases["sequence"] < end) & (releases["flags"] & Flag.WITHHELD != 0)
    )
    tried[tried] = of_subjects(allocates["kind"][places[tried]])
    return tried


def _places(allocates: Records, named: Records) -> Indices:
    """For each record the index of the allocation that it names, NONE where that does not hold."""
    places = np.full(len(named), NONE, dtype=np.intp)
    if not len(allocates):
        return places
    serials = np.ascontiguousarray(allocates["serial"])
    order = np.argsort(serials, kind="stable")
    place = np.searchsorted(serials[order], named["serial"])
    place = order[np.minimum(place, len(order) - 1)]
    fits = (
        (serials[place] == named["serial"])
        & (allocates["pointer"][place] == named["pointer"])
        & (allocates["sequence"][place] < named["sequence"])
    )
    places[fits] = place[fits]
    return places


_targets = _places


def _first_of(allocates: Records, named: Records) -> Indices:
    """For each allocation the index of the first record that names it, NONE without one."""
    places, found = _places(allocates, named), np.full(len(allocates), NONE, dtype=np.intp)
    chosen = np.flatnonzero(places != NONE)[::-1]
    found[places[chosen]] = chosen
    return found


def _when(taken: Records, taken_from: Indices) -> Sequences:
    """The sequence at which the kernel released each allocation, NEVER where it did not."""
    when = np.full(len(taken_from), NEVER, dtype=np.int64)
    mine = taken_from != NONE
    when[mine] = taken["sequence"][taken_from[mine]]
    return when


def _in_turn(
    allocates: Records, releases: Records, target: Indices, taken: Sequences
) -> tuple[Mask, Mask]:
    """Which releases are the first of their allocation, and which come after one.

    `taken`: when the kernel released each.
    """
    first, again = np.zeros((2, len(releases)), dtype=np.bool_)
    named = np.flatnonzero(target != NONE)
    foreign = of_subjects(allocates["kind"][target[named]])
    counts = named[~(foreign & (releases["flags"][named] & Flag.WITHHELD != 0))]
    _, earliest = np.unique(target[counts], return_index=True)
    earliest = counts[earliest]
    freed = taken.copy()
    sequences = releases["sequence"].astype(np.int64)
    first[earliest] = sequences[earliest] < freed[target[earliest]]
    np.minimum.at(freed, target[earliest], sequences[earliest])
    again[named] = freed[target[named]] < sequences[named]
    return first, again


def _late(
    allocates: Records, target: Indices, taken_from: Indices, releases: Records
) -> dict[int, np.void]:
    """The first release after the end of each allocation that was live then.

    A module that has settled the run knows the allocation no more, so its serial is 0 then.
    """
    if not len(releases):
        return {}
    live = np.setdiff1d(np.flatnonzero(taken_from == NONE), target)
    by_pointer = dict(zip(allocates["pointer"][live].tolist(), live.tolist(), strict=True))
    late: dict[int, np.void] = {}
    for release in releases:
        index = by_pointer.get(int(release["pointer"]))
        if index is not None and int(release["serial"]) in (0, int(allocates["serial"][index])):
            late.setdefault(index, release)
    return late


def _late_by_kernel(
    everything: Records, allocates: Records, end: int, late: dict[int, np.void]
) -> dict[int, np.void]:
    """Likewise the kernel's, of what nobody gave back to it."""
    releases = choose(everything, _by_kernel(everything) & (everything["sequence"] > end))
    if not len(releases):
        return {}
    reclaimed = everything["serial"][everything["type"] == Type.RECLAIM]
    places = _places(allocates, releases)
    mine = np.flatnonzero((places != NONE) & ~within(releases["serial"], reclaimed))
    found = {int(places[i]): releases[i] for i in mine[::-1]}
    return {index: record for index, record in found.items() if index not in late}


def _given_back(allocates: Records, records: Records) -> Sequences:
    """The sequence of each allocation's reclaim, NEVER where there is none."""
    reclaims = choose(records, records["type"] == Type.RECLAIM)
    places, back = _places(allocates, reclaims), np.full(len(allocates), NEVER, dtype=np.int64)
    known = places != NONE
    np.minimum.at(back, places[known], reclaims["sequence"][known].astype(np.int64))
    return back


def _past_the_ledger(
    everything: Records, allocates: Records, records: Records
) -> dict[int, np.void]:
    """The kernel's releases, in the run, of memory that a pool still had by the ledger."""
    kernel = everything["witness"] == Witness.KERNEL
    mine = kernel & (everything["type"] == Type.RELEASE) & ~of_subjects(everything["kind"])
    releases = choose(everything, mine & (everything["sequence"] < end_of(records)))
    if not len(releases):
        return {}
    back, newest = _given_back(allocates, records), _newest_at(allocates, releases)
    had = np.flatnonzero(newest != NONE)
    had = had[back[newest[had]] > releases["sequence"][had]]
    had = had[allocates["kind"][newest[had]] == releases["kind"][had]]
    return {int(newest[i]): releases[i] for i in had[::-1]}


def _over(
    records: Records,
    allocates: Records,
    passed: tuple[npt.NDArray[np.uint32], Indices],
    taken: Records,
) -> Sequences:
    """The sequence from which on each allocation's address may come back; NEVER: not in this run.

    That of the pools does not, since the module keeps it, but with act=real. Others are the
    kernel's again when a release reached it, by whomever, or with a reclaim. `passed`: the
    sequences of the owner's releases that did, and of which allocations.
    """
    over = np.full(len(allocates), NEVER, dtype=np.int64)
    reclaims = choose(records, records["type"] == Type.RECLAIM)
    for ends, places in (
        passed,
        (reclaims["sequence"], _places(allocates, reclaims)),
        (taken["sequence"], _places(allocates, taken)),
    ):
        known = places != NONE
        np.minimum.at(over, places[known], ends[known].astype(np.int64))
    real = np.any(records["flags"][records["type"] == Type.BEGIN] & Flag.REAL)
    over[~of_subjects(allocates["kind"]) & ~np.bool_(real)] = NEVER
    return over


def _disputed_allocates(allocates: Records, over: Sequences) -> list[Dispute]:
    serials = allocates["serial"].astype(np.int64)
    highest = np.maximum.accumulate(np.concatenate(([0], serials)))[:-1]
    found = [
        Dispute(record, f"the ledger gives out serial {record['serial']} out of order")
        for record in allocates[serials <= highest]
    ]
    # A driver that a subsystem knows may be the first member of memory that its owner took.
    known = no_memory(allocates["kind"])
    order = np.lexsort((known, allocates["pointer"]))
    pointers, known, sequences = (
        column[order] for column in (allocates["pointer"], known, allocates["sequence"])
    )
    alike = (pointers[1:] == pointers[:-1]) & (known[1:] == known[:-1])
    again = alike & (over[order[:-1]] > sequences[1:])
    found += [
        Dispute(allocates[index], "the ledger gives out this address twice in one run")
        for index in np.sort(order[1:][again])
    ]
    return found


def _disputed_releases(
    allocates: Records, releases: Records, target: Indices, over: Sequences
) -> list[Dispute]:
    """Releases that name what is not there, or do not name what is."""
    unpaired = choose(releases, target == NONE)
    if not len(unpaired):
        return []
    text = "a release names allocation {}, which is not in the ledger"
    named = unpaired[unpaired["serial"] != 0]
    found = [Dispute(one, text.format(one["serial"])) for one in named]
    unnamed = choose(unpaired, unpaired["serial"] == 0)
    newest = _newest_at(allocates, unnamed)
    known = np.flatnonzero(newest != NONE)
    there = known[over[newest[known]] > unnamed["sequence"][known]]
    found += [Dispute(unnamed[i], "a release of a known allocation names none") for i in there]
    return found


def _newest_at(allocates: Records, releases: Records) -> Indices:
    """For each release the newest allocation before it that began at its pointer, or NONE."""
    newest = np.full(len(releases), NONE, dtype=np.intp)
    if not len(releases):
        return newest
    # Both in one order by address and time: an allocation goes before the releases that follow.
    pointers = np.concatenate((allocates["pointer"], releases["pointer"]))
    sequences = np.concatenate((allocates["sequence"], releases["sequence"]))
    order = np.lexsort((sequences, pointers))
    made = order < len(allocates)
    last = np.maximum.accumulate(np.where(made, np.arange(len(order)), NONE))
    fits = ~made & (last != NONE)
    candidates = order[last[fits]]
    mine = order[fits] - len(allocates)
    same = allocates["pointer"][candidates] == releases["pointer"][mine]
    newest[mine[same]] = candidates[same]
    return newest


def _disputed_taken(allocates: Records, taken: Records, records: Records) -> list[Dispute]:
    """The kernel's releases that name what the ledger has not, or what was the kernel's already."""
    if not len(taken):
        return []
    places = _places(allocates, taken)
    found = [
        Dispute(one, f"the kernel releases allocation {one['serial']}, which is not in the ledger")
        for one in taken[places == NONE]
    ]
    back = _given_back(allocates, records)
    known = np.flatnonzero(places != NONE)
    ours = known[~of_subjects(allocates["kind"][places[known]])]
    text = "the kernel releases allocation {}, which no family has"
    found += [Dispute(one, text.format(one["serial"])) for one in taken[ours]]
    twice = known[back[places[known]] < taken["sequence"][known]]
    _, once = np.unique(places[known], return_index=True)
    again = np.setdiff1d(known, known[once])
    text = "the kernel releases what it already has by the ledger"
    return found + [Dispute(taken[i], text) for i in np.union1d(twice, again)]


def _disputed_kinds(records: Records) -> list[Dispute]:
    kinds = (Type.ALLOCATE, Type.RELEASE, Type.RECLAIM)
    known = (records["kind"] != Kind.NONE) & (records["kind"] <= max(Kind))
    chosen = among(records["type"], kinds) & ~known
    return [Dispute(record, "memory of no kind") for record in records[chosen]]


def _disputed_constraints(records: Records, allocates: Records) -> list[Dispute]:
    """Contiguous memory comes with exactly one word on what was asked for."""
    serials = records["serial"][records["type"] == Type.CONSTRAINT]
    known, counts = np.unique(serials, return_counts=True)
    contiguous = allocates[allocates["kind"] == Kind.CONTIGUOUS]
    wrong = ~within(contiguous["serial"], known[counts == 1])
    text = "the ledger does not say exactly once what was asked for here"
    return [Dispute(record, text) for record in contiguous[wrong]]


def _disputed_reclaims(records: Records) -> list[Dispute]:
    """The pools keep what was released until the run is over; a quarantine is bounded."""
    begins = records[records["type"] == Type.BEGIN]
    if np.any(begins["flags"] & Flag.REAL):
        return []
    early = (records["type"] == Type.RECLAIM) & (records["sequence"] < end_of(records))
    early &= ~of_subjects(records["kind"])
    text = "memory went back to the kernel while the scenario ran"
    return [Dispute(record, text) for record in records[early]]
