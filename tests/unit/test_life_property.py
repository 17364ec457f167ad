"""The judge of lives against docs/rules.md read aloud: one pass, plain Python, on random lives."""

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from freeonce.audit.model import Rule, Verdict
from freeonce.evidence.ledger import Flag, Kind
from tests.unit.history import CACHE, PAGE, PAGE_OFFSET, Life, born

PLACES = [PAGE_OFFSET + 0x10_0000 + number * 8 * PAGE for number in range(2)]
KINDS = [kind for kind in Kind if kind >= Kind.SLAB]
OTHER_CACHE = CACHE + PAGE
WITHHELD, KEPT, DEFERRED = int(Flag.WITHHELD), int(Flag.KEPT), int(Flag.DEFERRED)

RELEASED_BY = {
    Kind.SLAB: {Kind.SLAB, Kind.KVMALLOC},
    Kind.OBJECT: {Kind.OBJECT, Kind.SLAB, Kind.KVMALLOC},
    Kind.CACHE: {Kind.CACHE},
    Kind.PAGES: {Kind.PAGES},
    Kind.VMALLOC: {Kind.VMALLOC, Kind.KVMALLOC},
    Kind.KVMALLOC: {Kind.KVMALLOC},
    Kind.PERCPU: {Kind.PERCPU},
    Kind.MEMPOOL: {Kind.MEMPOOL},
    Kind.IOMAP: {Kind.IOMAP},
    Kind.CIPHER: {Kind.CIPHER},
    Kind.MISC: {Kind.MISC},
    Kind.SRCU: {Kind.SRCU},
    Kind.REGISTRATION: {Kind.REGISTRATION},
}
"""The table in docs/rules.md."""


@dataclass
class Held:
    """What a subject has, or had. `state`: live, kept, deferred or gone."""

    serial: int
    kind: Kind
    pointer: int
    size: int
    state: str = "live"
    wrong: bool = False


class Told:
    """A life told as the instrument would, and what the rules say of it, event by event."""

    def __init__(self) -> None:
        self.life: Life = born()
        self.at: dict[int, Held] = {}
        self.everything: list[Held] = []
        self.faults: list[tuple[Rule, int]] = []
        self.site = 0

    def acquire(self, place: int, kind: Kind, pages: int) -> None:
        """An address comes only when the kernel has it."""
        before = self.at.get(place)
        if before is not None and before.state != "gone":
            return
        self.site += 1
        size = pages * PAGE if kind is Kind.PAGES else 40 * pages
        serial = self.life.acquire(kind, place, size, site=self.site)
        self.at[place] = Held(serial, kind, place, size)
        self.everything.append(self.at[place])

    def release(self, place: int, how: tuple[Kind | None, int, bool], then: int) -> None:
        """`how`: family of the call or None for its own, pages, whether to another
        cache. `then`: flags if right.
        """
        held = self.at.get(place)
        if held is None:
            return
        called, pages, other_cache = how
        kind = called or held.kind
        if held.state != "live":
            self.note(Rule.DOUBLE_FREE, held)
            self.drop(held, kind, WITHHELD)
        elif (wrong := self.wrong(held, kind, pages * PAGE, other_cache)) is not None:
            self.note(wrong, held)
            self.drop(held, kind, WITHHELD, size=pages * PAGE, cache=OTHER_CACHE)
            held.wrong = True
        else:
            self.drop(held, kind, then)
            held.state = {KEPT: "kept", DEFERRED: "deferred"}.get(then, "gone")

    def wrong(self, held: Held, kind: Kind, size: int, other_cache: bool) -> Rule | None:
        if kind not in RELEASED_BY[held.kind]:
            return Rule.MISMATCHED_FREE
        if kind is Kind.OBJECT and other_cache:
            return Rule.MISMATCHED_FREE
        if held.kind is Kind.PAGES and size != held.size:
            return Rule.WRONG_SIZE_FREE
        return None

    def drop(
        self, held: Held, kind: Kind, flags: int, size: int | None = None, cache: int = CACHE
    ) -> None:
        if kind is not Kind.PAGES:
            size = 0
        elif size is None:
            size = held.size
        given = cache if kind is Kind.OBJECT else 0
        self.life.drop(held.serial, kind, flags=flags, site=self.site, size=size, cache=given)

    def inside(self, place: int, offset: int) -> None:
        """A release of a pointer inside of what is there, or was."""
        held = self.at.get(place)
        within = held is not None and offset < held.size
        self.site += 1
        self.life.drop(0, Kind.SLAB, pointer=place + offset, flags=WITHHELD, site=self.site)
        self.faults.append((Rule.INVALID_FREE, held.serial if held and within else 0))

    def kernel(self, place: int) -> None:
        """The kernel releases it by itself: for its owner, as it was left to it, or once more."""
        held = self.at.get(place)
        if held is None or held.state == "gone":
            return
        if held.state == "kept":
            self.note(Rule.DOUBLE_FREE, held)
        self.site += 1
        self.life.taken(held.serial, site=self.site)
        held.state = "gone"

    def evict(self, place: int) -> None:
        """The quarantine is full."""
        held = self.at.get(place)
        if held is not None and held.state == "kept":
            self.life.reclaim(held.serial)
            held.state = "gone"

    def write(self, place: int, _: int) -> None:
        """Into memory, whoever has it: at the end the host looks at what is kept."""
        self.written = {**getattr(self, "written", {}), place: 0x42}

    def note(self, rule: Rule, held: Held) -> None:
        self.site += 1
        self.faults.append((rule, held.serial))

    def end(self) -> list[tuple[Rule, int]]:
        found = list(self.faults)
        for held in self.everything:
            if held.state == "live" and not held.wrong:
                found.append((Rule.LEAK, held.serial))
            mapped = held.kind in (Kind.SLAB, Kind.OBJECT, Kind.PAGES)
            if held.state == "kept" and mapped and held.pointer in getattr(self, "written", {}):
                found.append((Rule.USE_AFTER_FREE, held.serial))
        return sorted(found)


PLACE = st.sampled_from(PLACES)
KIND = st.sampled_from(KINDS)
PAGES = st.sampled_from([1, 2])
STEP = st.one_of(
    st.tuples(st.just(Told.acquire), PLACE, KIND, PAGES),
    st.tuples(
        st.just(Told.release),
        PLACE,
        st.tuples(st.one_of(st.none(), KIND), PAGES, st.booleans()),
        st.sampled_from([0, KEPT, DEFERRED]),
    ),
    st.tuples(st.just(Told.inside), PLACE, st.sampled_from([8, 39, 40, 2 * PAGE])),
    st.tuples(st.just(Told.kernel), PLACE),
    st.tuples(st.just(Told.evict), PLACE),
    st.tuples(st.just(Told.write), PLACE, st.just(0)),
)


@settings(max_examples=400)
@given(st.lists(STEP, max_size=25))
def test_the_judge_finds_what_the_rules_say(
    steps: list[tuple[Callable[..., None], *tuple[object, ...]]],
) -> None:
    told = Told()
    for act, *arguments in steps:
        told.site += 1
        act(told, *arguments)
    # What was left to the kernel, it does before it comes to rest.
    for place, held in told.at.items():
        if held.state == "deferred":
            told.kernel(place)
    expected = told.end()
    judgement = told.life.whole(getattr(told, "written", {}))
    assert sorted((one.rule, one.serial) for one in judgement.findings) == expected
    assert judgement.reasons == ()
    assert judgement.verdict is (Verdict.FAULTY if expected else Verdict.CLEAN)
