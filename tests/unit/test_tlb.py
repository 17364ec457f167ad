"""What a TLB may still have, by CPU and ASID: against a TLB that is played step by step."""

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freeonce.audit.hardware import judge_operands
from freeonce.audit.model import Finding, Rule
from freeonce.audit.run import take_apart
from freeonce.audit.tlb import Entry, Epoch, Tlb, _Entries
from freeonce.evidence.ledger import CPU_STATE_FLUSH_BY_ASID, CPU_STATE_GIF, Kind, Structure, Type
from tests.unit.history import PAGE, History, run
from tests.unit.steps import lines

PLACES = [PAGE * number for number in range(16, 20)]
CPUS = 2
INVALID = 0xFFFF_FFFF


class Play:
    """L2s without anything but pages, each an allocation, on CPUs that can flush by ASID or not."""

    def __init__(
        self, *, by_asid: bool = True, structure: Structure = Structure.NESTED_PAGE
    ) -> None:
        self.structure = structure
        self.history: History = run()
        for cpu in range(CPUS):
            detail = CPU_STATE_GIF | (CPU_STATE_FLUSH_BY_ASID if by_asid else 0)
            self.history.add(Type.CPU_STATE, serial=cpu, cpu=cpu, size=40, detail=detail)
        for serial, place in enumerate(PLACES, start=1):
            self.history.allocate(serial, place, PAGE - 1, Kind.CONTIGUOUS, 12)
        for vcpu in (1, 2):
            self.history.bind(vcpu, 0, nested_cr3=PAGE)

    def map(self, vcpu: int, place: int) -> "Play":
        at = PAGE * place
        self.history.operand(vcpu, self.structure, PLACES[place], PAGE - 1, pointer=at)
        return self

    def unmap(self, vcpu: int, place: int) -> "Play":
        at = PAGE * place
        self.history.gone(vcpu, self.structure, PLACES[place], PAGE - 1, pointer=at)
        return self

    def enter(self, vcpu: int, cpu: int = 0, asid: int = 1, control: int = 0) -> "Play":
        self.history.enter(vcpu, 0, asid, control, cpu)
        return self

    def invlpga(self, place: int, cpu: int = 0, asid: int = 1) -> "Play":
        self.history.add(Type.INVLPGA, pointer=PAGE * place + 8, detail=asid, cpu=cpu)
        return self

    def unbind(self, vcpu: int) -> "Play":
        self.history.add(Type.UNBIND, serial=vcpu)
        return self

    def release(self, place: int) -> "Play":
        self.history.release(place + 1, PLACES[place], PAGE - 1, Kind.CONTIGUOUS, 12)
        return self

    def found(self) -> list[Finding]:
        return judge_operands(take_apart(self.history.records()))

    def lost(self) -> "Play":
        """One page, which L2 1 had on CPU 0 under ASID 1."""
        return self.map(1, 0).enter(1).unmap(1, 0)


def test_a_vmrun_after_the_release_without_a_flush_is_the_fault() -> None:
    (finding,) = Play().lost().release(0).enter(1).found()
    assert (finding.rule, finding.serial) == (Rule.HARDWARE_USE_AFTER_FREE, 1)
    assert finding.detail == (
        "released and CPU 0 entered an L2 under ASID 1 without a flush: its TLB may still have it "
        "(15.16) as page of the nested page table (15.25.5) of L2 1"
    )


def test_without_another_vmrun_nobody_uses_it() -> None:
    assert Play().lost().release(0).found() == []


@pytest.mark.parametrize(
    ("control", "by_asid", "flushed"),
    [(0, True, False), (1, False, True), (3, True, True), (3, False, False), (7, True, False)],
)
def test_what_flushes(control: int, by_asid: bool, flushed: bool) -> None:
    for before in (True, False):
        play = Play(by_asid=by_asid).lost()
        play = play.enter(1, control=control).release(0) if before else play.release(0)
        play = play.enter(1) if before else play.enter(1, control=control)
        assert (play.found() == []) == flushed


@pytest.mark.parametrize("how", [{"cpu": 1}, {"asid": 2, "control": 3}])
def test_a_flush_of_another_cpu_or_asid_is_none(how: dict[str, int]) -> None:
    play = Play().lost().enter(1, **({"control": 1} | how)).release(0)
    assert play.found() == []
    assert [one.serial for one in play.enter(1).found()] == [1]


def test_invlpga_takes_a_page_of_an_l2_without_nested_paging() -> None:
    for before in (True, False):
        play = Play(structure=Structure.PAGE).lost()
        play = play.invlpga(0).release(0) if before else play.release(0).invlpga(0)
        assert play.enter(1).found() == []


@pytest.mark.parametrize("other", [{"cpu": 1}, {"asid": 2}, {"place": 1}])
def test_invlpga_of_something_else_takes_nothing(other: dict[str, int]) -> None:
    play = Play(structure=Structure.PAGE).lost().invlpga(**({"place": 0} | other))
    assert [one.serial for one in play.release(0).enter(1).found()] == [1]


@pytest.mark.parametrize("structure", [Structure.NESTED_PAGE, Structure.PAGE_TABLE])
def test_invlpga_takes_no_table_and_nothing_that_is_nested(structure: Structure) -> None:
    play = Play(structure=structure).lost().invlpga(0).release(0).enter(1)
    assert [one.serial for one in play.found()] == [1]


def test_invlpga_that_came_too_early_or_too_late_takes_nothing() -> None:
    play = Play(structure=Structure.PAGE).map(1, 0).enter(1).invlpga(0).enter(1).unmap(1, 0)
    assert [one.serial for one in play.release(0).enter(1).invlpga(0).found()] == [1]


@pytest.mark.parametrize("place", range(len(PLACES)))
@pytest.mark.parametrize("other", range(len(PLACES)))
def test_invlpga_takes_the_page_that_it_names(place: int, other: int) -> None:
    play = Play(structure=Structure.PAGE).map(1, place).enter(1).unmap(1, place)
    found = play.invlpga(other).release(place).enter(1).found()
    assert [one.serial for one in found] == ([] if place == other else [place + 1])


def test_invlpga_is_nothing_to_an_l2_that_was_never_entered() -> None:
    play = Play(structure=Structure.PAGE).map(1, 0).unmap(1, 0).invlpga(0)
    assert play.release(0).enter(2).found() == []


@pytest.mark.parametrize(("cpus", "looks"), [(1, 2), (2, 3)])
def test_invlpga_is_looked_for_in_bounded_time(
    cpus: int, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for each TLB in which the page may be, and once for each page there."""
    for most in range(looks + 1):
        monkeypatch.setattr("freeonce.audit.tlb.MOST_LOOKS", most)
        play = Play(structure=Structure.PAGE).map(1, 0)
        for cpu in range(cpus):
            play.enter(1, cpu=cpu)
        play.unmap(1, 0).invlpga(0).release(0).enter(1)
        assert [one.serial for one in play.found()] == ([] if most == looks else [1])


def test_flushed_on_each_cpu_where_it_was() -> None:
    play = Play().map(1, 0).enter(1).enter(1, cpu=1).unmap(1, 0)
    play.enter(1, control=1).enter(1, cpu=1, control=1).release(0)
    assert play.enter(1).enter(1, cpu=1).found() == []


def test_another_asid_on_each_cpu_as_kvm_does() -> None:
    play = Play().map(1, 0).enter(1).enter(1, cpu=1, asid=2).unmap(1, 0)
    assert play.enter(1, cpu=1, asid=2, control=3).release(0).enter(1, asid=3).found() == []


def test_the_next_l2_under_an_asid_finds_what_the_last_one_had() -> None:
    play = Play().map(1, 0).enter(1).unbind(1).release(0)
    assert [one.serial for one in play.enter(2).found()] == [1]


def test_what_another_l2_flushes_is_flushed() -> None:
    assert Play().lost().enter(2, asid=2, control=1).release(0).enter(1).found() == []


def test_one_flush_that_is_missing_is_one_finding_about_what_went_last() -> None:
    play = Play().map(1, 0).map(1, 1).enter(1).unbind(1).release(1).release(0).enter(2)
    (finding,) = play.enter(2).found()
    assert finding.serial == 1
    assert "so were 1 more allocations" in finding.detail
    play = Play().map(1, 0).map(1, 1).map(1, 2).map(1, 3).enter(1).unbind(1)
    (finding,) = play.release(3).release(1).release(0).release(2).enter(2).found()
    assert finding.serial == 3
    assert "so were 3 more allocations" in finding.detail


def test_released_while_another_l2_runs_under_that_asid() -> None:
    play = Play().lost()
    play.history.vmrun(2, 0)
    play.release(0).history.add(Type.VMEXIT, serial=2)
    (finding,) = play.found()
    assert "while CPU 0 was in guest mode under ASID 1" in finding.detail
    assert finding.sequence == next(
        row["sequence"] for row in reversed(play.history.rows) if row["type"] == Type.VMRUN
    )


def test_a_vmrun_that_the_cpu_refuses_uses_nothing() -> None:
    play = Play().lost().release(0)
    play.history.vmrun(1, 0).add(Type.VMEXIT, serial=1, detail=INVALID)
    assert play.found() == []


def test_a_vmrun_that_is_withheld_flushes_nothing() -> None:
    play = Play().lost()
    play.history.vmrun(1, 0, control=1)
    play.history.rows[-1]["flags"] = 1
    assert [one.serial for one in play.release(0).enter(1).found()] == [1]


def entered(count: int, seed: int) -> list[Entry]:
    """VMRUNs of one vcpu, in three epochs in which others go on as well."""
    chance = random.Random(f"{count} {seed}")
    record = run().records()[0]
    epochs = [Epoch() for _ in range(3)]
    entries = []
    for number in range(count):
        epoch = chance.choice(epochs)
        entries.append(Entry(record, 10 * number, 10 * number + 5, epoch))
        epoch.entries.append(entries[-1])
    for epoch in epochs:
        end = 10 * count + 10 * chance.randrange(9)
        epoch.entries.append(Entry(record, end, end + 5, epoch))
    return entries


@pytest.mark.parametrize("count", range(1, 12))
@pytest.mark.parametrize("seed", range(3))
def test_of_the_vmruns_between_two_moments_that_in_the_longest_epoch_counts(
    count: int, seed: int
) -> None:
    entries = entered(count, seed)
    tree = _Entries(entries)

    def used(one: Entry) -> int:
        return one.epoch.entries[-1].end

    moments = [10 * number + at for number in range(count + 1) for at in (1, 7)]
    for start, end in itertools.combinations(moments, 2):
        inside = [one for one in entries if one.start < end and one.end > start]
        found = tree.longest(start, end)
        assert (found is None) is (inside == [])
        assert found is None or used(found) == max(map(used, inside))


@dataclass
class Plain:
    """A TLB as the manual has it: per CPU and ASID all that was reached since the last flush.

    `mapped`: by vcpu and place, the sequence of the record that gave it. What is in a TLB is known
    by that. `used`: those that were released, and the VMRUN that may have used them.
    """

    play: Play = field(default_factory=Play)
    mapped: dict[tuple[int, int], int] = field(default_factory=dict)
    cached: dict[tuple[int, int], set[int]] = field(default_factory=dict)
    running: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    place_of: dict[int, int] = field(default_factory=dict)
    released: dict[int, int] = field(default_factory=dict)
    used: set[tuple[int, int]] = field(default_factory=set)

    @property
    def now(self) -> int:
        return len(self.play.history.rows)

    def map(self, vcpu: int, place: int) -> None:
        if (vcpu, place) not in self.mapped and place not in self.released:
            self.play.map(vcpu, place)
            self.mapped[vcpu, place] = self.now
            self.place_of[self.now] = place
            self._fill()

    def unmap(self, vcpu: int, place: int) -> None:
        if self.mapped.pop((vcpu, place), None):
            self.play.unmap(vcpu, place)

    def enter(self, vcpu: int, cpu: int, asid: int, control: int) -> None:
        if vcpu in self.running or any(cpu == busy for busy, _, _ in self.running.values()):
            return
        self.play.history.vmrun(vcpu, 0, asid, control, cpu)
        for tag in self.cached:
            if (control == 1 and tag[0] == cpu) or (control == 3 and tag == (cpu, asid)):
                self.cached[tag] = set()
        self.running[vcpu] = cpu, asid, self.now
        self._fill()

    def exit(self, vcpu: int) -> None:
        if self.running.pop(vcpu, None):
            self.play.history.add(Type.VMEXIT, serial=vcpu, detail=0x72)

    def invlpga(self, cpu: int, asid: int, place: int) -> None:
        """By a CPU that is not in guest mode."""
        if not any(cpu == busy for busy, _, _ in self.running.values()):
            self.play.invlpga(place, cpu, asid)
            if self.play.structure is Structure.PAGE:
                tag = self.cached.get((cpu, asid), set())
                tag -= {one for one in tag if self.place_of[one] == place}

    def release(self, place: int) -> None:
        if place not in self.released:
            self.play.release(place)
            self.released[place] = self.now
            self._fill()

    def _fill(self) -> None:
        """Whoever runs has all that it reaches in its TLB, and uses all that is there."""
        for vcpu, (cpu, asid, entry) in self.running.items():
            tag = self.cached.setdefault((cpu, asid), set())
            tag |= {given for (whose, _), given in self.mapped.items() if whose == vcpu}
            self.used |= {(one, entry) for one in tag if self.place_of[one] in self.released}


VCPU, CPU, PLACE = st.integers(1, 2), st.integers(0, CPUS - 1), st.integers(0, len(PLACES) - 1)
STEP = st.one_of(
    st.tuples(st.just(Plain.map), VCPU, PLACE),
    st.tuples(st.just(Plain.unmap), VCPU, PLACE),
    st.tuples(st.just(Plain.release), PLACE),
    st.tuples(st.just(Plain.exit), VCPU),
    st.tuples(st.just(Plain.invlpga), CPU, st.integers(1, 2), PLACE),
    st.tuples(st.just(Plain.enter), VCPU, CPU, st.integers(1, 2), st.sampled_from([0, 0, 1, 3, 7])),
)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from([Structure.NESTED_PAGE, Structure.PAGE]), st.lists(STEP, max_size=40))
def test_it_is_that_of_the_plain_tlb(
    structure: Structure, steps: list[tuple[Callable[..., None], *tuple[object, ...]]]
) -> None:
    plain = Plain(Play(structure=structure))
    for act, *arguments in steps:
        act(plain, *arguments)
    ends = {one: place for place, one in plain.mapped.items()}
    tlb = Tlb(take_apart(plain.play.history.records()))
    rows = plain.play.history.rows
    for given_at, place in plain.place_of.items():
        row, released = rows[given_at - 1], plain.released.get(place)
        # What is released while it is mapped is found where it is released.
        if given_at in ends or released is None:
            continue
        end = next(
            one["sequence"]
            for one in rows[given_at:]
            if one["type"] == Type.OPERAND
            and (one["serial"], one["physical"]) == (row["serial"], row["physical"])
        )
        if end > released:
            continue
        span = row["serial"], given_at, end, released
        own = structure is Structure.PAGE
        entry = tlb.stale_page(*span, range(place, place + 1)) if own else tlb.stale(*span)
        used_in = {entry for one, entry in plain.used if one == given_at}
        assert entry.start in used_in if entry else not used_in


def _another_asid_each_time(play: Play, number: int) -> None:
    play.map(1, 0).enter(1, asid=number).unmap(1, 0)


def _never_flushed(play: Play, number: int) -> None:
    play.map(1, number % 4).enter(1).unmap(1, number % 4)


def _always_flushed(play: Play, number: int) -> None:
    play.map(1, number % 4).enter(1, asid=number % 7, control=3).unmap(1, number % 4)


@pytest.mark.parametrize("tell", [_another_asid_each_time, _never_flushed, _always_flushed])
def test_twice_the_ledger_is_little_more_than_twice_the_work(
    tell: Callable[[Play, int], None],
) -> None:
    def work(count: int) -> int:
        play = Play()
        for number in range(1, count + 1):
            tell(play, number)
        for place in range(len(PLACES)):
            play.release(place)
        taken = take_apart(play.enter(1).history.records())
        return lines(lambda: judge_operands(taken), "freeonce.audit")

    # Of n log n twice is below 2.5 from here on; of n * n it is 4.
    assert work(400) < 2.5 * work(200)
