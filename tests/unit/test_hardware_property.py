"""What the CPU was given, judged as its definition says, on random histories; and how much work."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freeonce.audit import hardware
from freeonce.audit.model import Rule
from freeonce.audit.operands import ONE_AT_A_TIME, Operand, operands
from freeonce.audit.run import Run, take_apart
from freeonce.evidence.ledger import Kind, Structure, Type
from tests.unit.history import PAGE, History, run
from tests.unit.steps import lines

PLACES = [PAGE * number for number in range(16, 24)]
STRUCTURES = [
    *(Structure.VMCB, Structure.HOST_SAVE_AREA, Structure.IOPM, Structure.VMSAVE),
    *(Structure.NESTED_TABLE, Structure.NESTED_PAGE, Structure.PAGE),
]

Verdicts = set[tuple[Rule, int, int]]
"""Rule, serial of the allocation, gpa where there is none."""


class Told:
    """A history with at most one allocation at a place."""

    def __init__(self) -> None:
        self.history: History = run()
        self.serials: dict[int, int] = {}
        self.released: set[int] = set()

    def allocate(self, place: int, pages: int) -> None:
        if not any(place <= at < place + pages * PAGE for at in self.serials):
            free = all(other not in self.serials for other in range(place, place - 4 * PAGE, -PAGE))
            if free:
                self.serials[place] = len(self.serials) + 1
                # One byte less: a guard stands behind.
                size = pages * PAGE - 1
                self.history.allocate(self.serials[place], place, size, Kind.CONTIGUOUS, 12)

    def release(self, place: int) -> None:
        if place in self.serials and place not in self.released:
            self.released.add(place)
            self.history.release(self.serials[place], place, kind=Kind.CONTIGUOUS)

    def bind(self, vcpu: int, root: int) -> None:
        self.history.bind(vcpu, 0, nested_cr3=root)

    def unbind(self, vcpu: int) -> None:
        self.history.add(Type.UNBIND, serial=vcpu)

    def svm_off(self, cpu: int) -> None:
        self.history.add(Type.SVM_OFF, cpu=cpu)

    def operand(self, owner: int, structure: Structure, place: int, size: int) -> None:
        of_cpu = structure in (Structure.HOST_SAVE_AREA, Structure.VMSAVE)
        vcpu, cpu = (0, owner) if of_cpu else (owner + 1, 0)
        self.history.operand(vcpu, structure, place, size, cpu=cpu)


def _overlap(gpa: int, size: int, other: int, other_size: int) -> bool:
    return gpa < other + other_size and other < gpa + size


def _held(one: Operand, moment: int) -> bool:
    return one.start < moment < one.end


def _at_odds(one: Operand, other: Operand) -> bool:
    private = {Structure.IOPM, Structure.MSRPM, Structure.VMSAVE}
    if one.owner == other.owner or {one.structure, other.structure} & private:
        return False
    written = {one.structure, other.structure} & ONE_AT_A_TIME
    return bool(written) or one.root != other.root


@dataclass(frozen=True)
class Life:
    """One allocation, and the sequences of its own and its first release."""

    serial: int
    gpa: int
    size: int
    born: int
    gone: int


def _lives(taken: Run) -> list[Life]:
    """In the order of their addresses."""
    gone: dict[int, int] = {}
    for release, target in zip(taken.releases, taken.target, strict=True):
        gone.setdefault(int(target), int(release["sequence"]))
    lives = [
        Life(
            serial=int(made["serial"]),
            gpa=int(made["physical"]),
            size=int(made["size"]),
            born=int(made["sequence"]),
            gone=gone.get(index, 1 << 40),
        )
        for index, made in enumerate(taken.allocates)
    ]
    return sorted(lives, key=lambda life: life.gpa)


def _usable(one: Operand, touched: list[Life]) -> int | None:
    """The allocation that it breaks into, 0 when there is none; None when all is well."""
    born = [life for life in touched if life.born < one.start]
    if not born:
        return 0
    life = born[0]
    inside = life.gpa <= one.gpa and one.gpa + one.size <= life.gpa + life.size
    return None if inside and life.gone > one.start else life.serial


def _by_definition(taken: Run) -> Verdicts:
    found: Verdicts = set()
    lives, told = _lives(taken), operands(taken)
    for one in told:
        touched = [life for life in lives if _overlap(one.gpa, one.size, life.gpa, life.size)]
        broken = _usable(one, touched)
        if broken is not None:
            found.add((Rule.HARDWARE_USE_AFTER_FREE, broken, 0 if broken else one.gpa))
        for life in touched:
            if _held(one, life.gone):
                found.add((Rule.HARDWARE_USE_AFTER_FREE, life.serial, 0))
        others = [other for other in told if _held(other, one.start) and _at_odds(one, other)]
        if any(_overlap(one.gpa, one.size, other.gpa, other.size) for other in others):
            serial = touched[0].serial if touched else 0
            found.add((Rule.MISPLACED, serial, 0 if serial else one.gpa))
    return found


PLACE = st.sampled_from(PLACES)
OWNER = st.integers(0, 2)
STEP = st.one_of(
    st.tuples(st.just(Told.allocate), PLACE, st.integers(1, 3)),
    st.tuples(st.just(Told.release), PLACE),
    st.tuples(st.just(Told.bind), st.integers(1, 3), st.sampled_from([0, PAGE])),
    st.tuples(st.just(Told.unbind), st.integers(1, 3)),
    st.tuples(st.just(Told.svm_off), OWNER),
    st.tuples(
        st.just(Told.operand),
        *(OWNER, st.sampled_from(STRUCTURES), PLACE),
        st.sampled_from([1, PAGE - 1, PAGE, 3 * PAGE]),
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEP, max_size=25))
def test_the_judgement_is_that_of_the_definition(
    steps: list[tuple[Callable[..., None], *tuple[object, ...]]],
) -> None:
    told = Told()
    for act, *arguments in steps:
        act(told, *arguments)
    taken = take_apart(told.history.records())
    found = {
        (one.rule, one.serial, 0 if one.serial else one.gpa)
        for one in hardware.judge_operands(taken)
    }
    assert found == _by_definition(taken)


def _one_place(history: History, number: int) -> None:
    """Nested paging by one root: all may have this page, and nobody ever unbinds."""
    history.bind(number, 0, nested_cr3=PAGE).operand(number, Structure.NESTED_PAGE, PLACES[0])


def _at_odds_everywhere(history: History, number: int) -> None:
    history.bind(number, 0, nested_cr3=number * PAGE)
    history.operand(number, Structure.NESTED_PAGE, PLACES[0])


def _all_memory(history: History, number: int) -> None:
    """Each reaches over all allocations, before and after they go."""
    history.bind(number, 0, nested_cr3=PAGE)
    history.operand(number, Structure.NESTED_PAGE, 0, 1 << 39)
    history.allocate(number, PAGE * number, 64, Kind.CONTIGUOUS, 12)
    history.release(number, PAGE * number, 64, Kind.CONTIGUOUS, 12, withheld=True)


def _again_and_again(history: History, number: int) -> None:
    """One vcpu, told anew each time."""
    history.bind(1, 0).operand(1, Structure.VMCB, PAGE * number)


def _nested_in_each_other(history: History, number: int) -> None:
    history.bind(number, 0, nested_cr3=PAGE)
    history.operand(number, Structure.NESTED_PAGE, PAGE * number, (1 << 30) - 2 * PAGE * number)


@pytest.mark.parametrize(
    "tell",
    [_one_place, _at_odds_everywhere, _all_memory, _again_and_again, _nested_in_each_other],
)
def test_twice_the_ledger_is_little_more_than_twice_the_work(
    tell: Callable[[History, int], None],
) -> None:
    def work(count: int) -> int:
        history = run()
        for number in range(1, count + 1):
            tell(history, number)
        taken = take_apart(history.records())
        return lines(lambda: hardware.judge_operands(taken), "freeonce.audit")

    # Of n log n twice is below 2.5 from here on; of n * n it is 4.
    assert work(400) < 2.5 * work(200)
