"""The audit against a slow second judge, written from docs/rules.md, on random histories."""

from hypothesis import given, settings
from hypothesis import strategies as st

from freeonce.audit.model import Verdict
from freeonce.evidence.ledger import Kind, Type
from tests.unit.history import PAGE, PAT_WB, History, run
from tests.unit.slow_judge import judge

PLACES = [0x10_0000 + 4 * PAGE * number for number in range(5)]
KERNELS = 0x90_0000
ELSEWHERE = [0x80_0000 + 4 * PAGE * number for number in range(4)]
SIZES = [1, 16, 64, 4000]
UNCACHED = 0
WRITTEN = 0x11
"""No byte of poison, guard or tag."""


class Told:
    """A run as an honest guest tells it, whatever is done in it."""

    def __init__(self) -> None:
        self.history: History = run()
        self.written: dict[int, int] = {}
        self.of_kernel: list[tuple[int, int]] = []

    def new_serial(self) -> int:
        return len(self.history.blocks) + len(self.of_kernel) + 1

    def take(self) -> None:
        """By kmalloc(): each at an address of its own."""
        serial = self.new_serial()
        self.of_kernel.append((serial, KERNELS + 0x1000 * serial))
        self.history.take(*self.of_kernel[-1])

    def give(self, number: int, kind: Kind) -> None:
        """What was taken so, by whatever call."""
        if number < len(self.of_kernel):
            serial, pointer = self.of_kernel[number]
            wrong = kind is not Kind.SLAB or serial not in self.history.of_kernel
            self.history.give(serial, pointer, kind, withheld=wrong)

    def past_its_release(self, number: int) -> None:
        """Memory of ours by kfree()."""
        if number < len(self.history.blocks):
            block = self.history.blocks[number]
            self.history.give(block.serial, block.pointer, withheld=True)

    def allocate(
        self, place: int, shift: int, size: int, kind: Kind, align: int, cache: int
    ) -> None:
        if any(place <= one.pointer < place + PAGE for one in self.history.blocks):
            return  # released memory stays with the module: no address comes back
        detail = 0 if kind is Kind.POOL else cache
        serial = self.new_serial()
        self.history.allocate(serial, place + shift, size, kind, align, detail=detail)

    def constrain(self, highest: int, boundary: int, cache: int) -> None:
        """Of the newest allocation, if that says what was asked for."""
        last = self.history.rows[-1]
        if last["type"] == Type.CONSTRAINT:
            last.update(physical=highest, size=boundary, detail=cache)

    def release(self, number: int, wrong: str) -> None:
        """Of an allocation by its number, right or wrong in one respect."""
        if number >= len(self.history.blocks):
            return
        block = self.history.blocks[number]
        row = next(one for one in self.history.rows if one.get("serial") == block.serial)
        pointer = {"null": 0, "inside": block.pointer + 8, "elsewhere": 0x70_0000}.get(
            wrong, block.pointer
        )
        other = Kind.POOL if block.kind is Kind.CONTIGUOUS else Kind.CONTIGUOUS
        kind = other if wrong == "kind" else block.kind
        serial = block.serial if pointer == block.pointer else 0
        again = pointer in [
            one["pointer"] for one in self.history.rows if one["type"] == Type.RELEASE
        ]
        withheld = not serial or again or kind != block.kind
        size = block.size + (wrong == "size")
        align = row["align_log2"] + (wrong == "align")
        self.history.release(serial, pointer, size, kind, align, withheld=withheld)

    def write(self, number: int, offset: int) -> None:
        """Anywhere in an allocation or its guard, at the end of the run."""
        if number < len(self.history.blocks):
            block = self.history.blocks[number]
            self.written[block.physical + offset % (block.size + 16)] = WRITTEN

    def break_guard(self, byte: int) -> None:
        """Before the newest release, which then finds it so."""
        guards = [row for row in self.history.rows if row["type"] == Type.GUARD]
        if guards:
            guards[-1][("pointer", "physical")[byte // 8]] ^= 0x11 << 8 * (byte % 8)

    def leave_uncached(self) -> None:
        last = self.history.rows[-1]
        if last["type"] == Type.RESTORED:
            last["detail"] = UNCACHED

    def past_the_ledger(self, what: Type, place: int) -> None:
        """Each place once, so that the two faults do not undo each other."""
        if all(row.get("pointer") != place for row in self.history.rows):
            self.history.kernel(what, pointer=place, size=64, kind=int(Kind.POOL))

    def end(self, efer: int) -> None:
        self.history.cpu_state(efer=efer).end(states=False).settle()


KINDS = st.sampled_from([Kind.POOL, Kind.CONTIGUOUS])
ALIGNMENTS = st.sampled_from([0, 3, 6, 12])
CACHES = st.sampled_from([PAT_WB, PAT_WB, UNCACHED])
ALLOCATE = st.tuples(
    st.just(Told.allocate),
    *(st.sampled_from(PLACES), st.sampled_from([0, 0, 8, 32]), st.sampled_from(SIZES)),
    *(KINDS, ALIGNMENTS, CACHES),
)
WRONG = ["null", "inside", "elsewhere", "kind", "size", "align", "", "", "", ""]
GIVE = st.tuples(
    st.just(Told.give),
    st.integers(0, 2),
    st.sampled_from([Kind.SLAB, Kind.SLAB, Kind.POOL, Kind.CONTIGUOUS]),
)
RELEASE = st.tuples(st.just(Told.release), st.integers(0, 4), st.sampled_from(WRONG))
STEPS = st.one_of(
    *(ALLOCATE, RELEASE, RELEASE, RELEASE, GIVE),
    st.tuples(st.just(Told.take)),
    st.tuples(st.just(Told.past_its_release), st.integers(0, 4)),
    st.tuples(
        st.just(Told.constrain),
        st.sampled_from([PLACES[1] + 100, (1 << 64) - 1]),
        *(st.sampled_from([0, 64, 8192]), CACHES),
    ),
    st.tuples(st.just(Told.write), st.integers(0, 4), st.sampled_from([0, 1, 17, 65, 80, 4015])),
    st.tuples(st.just(Told.break_guard), st.integers(0, 15)),
    st.tuples(st.just(Told.leave_uncached)),
    st.tuples(
        st.just(Told.past_the_ledger),
        *(st.sampled_from([Type.ALLOCATE, Type.RELEASE]), st.sampled_from(ELSEWHERE)),
    ),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(ALLOCATE, max_size=4),
    st.lists(STEPS, max_size=25),
    st.sampled_from([0xD01, 0xD01, 0x1D01]),
)
def test_both_judges_come_to_the_same(
    first: list[tuple[object, ...]], steps: list[tuple[object, ...]], efer: int
) -> None:
    told = Told()
    for act, *arguments in first + steps:
        act(told, *arguments)  # type: ignore[operator]
    told.end(efer)
    snapshot = told.history.memory(told.written).snapshot
    expected = judge(told.history.rows, lambda gpa: (snapshot.read(gpa, 1) or b"\0")[0])
    judgement = told.history.judged(told.written)
    assert sorted((str(one.rule), one.serial) for one in judgement.findings) == expected
    assert judgement.reasons == ()
    assert judgement.verdict is (Verdict.FAULTY if expected else Verdict.CLEAN)
