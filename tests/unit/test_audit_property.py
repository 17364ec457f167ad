"""The audit against a model that a reader can check by eye, on random histories."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from freeonce.audit.model import Rule, Verdict
from freeonce.evidence.ledger import Kind, Type
from tests.unit.history import History, run

ADDRESSES = [0x1000 + 0x2000 * index for index in range(6)]
KINDS = [Kind.POOL, Kind.CONTIGUOUS]


@dataclass
class Live:
    serial: int
    size: int
    kind: Kind
    released: bool = False


class Model:
    """One pass, one dictionary: what the words mean, without any array."""

    def __init__(self) -> None:
        self.known: dict[int, Live] = {}
        self.history: History = run()
        self.faults: list[tuple[Rule, int]] = []

    def allocate(self, address: int, size: int, kind: Kind) -> None:
        if address in self.known:
            return  # released memory stays with the module: no address comes back
        serial = len(self.known) + 1
        self.known[address] = Live(serial, size, kind)
        self.history.allocate(serial, address, size, kind)

    def release(self, address: int, size: int, kind: Kind) -> None:
        live = self.known.get(address)
        fault = self.fault(address, live, size, kind)
        withheld = fault not in (None, Rule.WRONG_SIZE_FREE)
        self.history.release(live.serial if live else 0, address, size, kind, withheld=withheld)
        if fault is not None:
            self.faults.append((fault, live.serial if live else self.around(address)))
        if live:
            live.released = True

    def fault(self, address: int, live: Live | None, size: int, kind: Kind) -> Rule | None:
        if address == 0:
            return Rule.NULL_FREE
        if live is None:
            return Rule.INVALID_FREE
        if live.released:
            return Rule.DOUBLE_FREE
        if live.kind != kind:
            return Rule.MISMATCHED_FREE
        return Rule.WRONG_SIZE_FREE if live.size != size else None

    def around(self, address: int) -> int:
        for start, live in self.known.items():
            if start < address < start + live.size:
                return live.serial
        return 0

    def end(self) -> list[tuple[Rule, int]]:
        leaks = [(Rule.LEAK, live.serial) for live in self.known.values() if not live.released]
        return sorted(self.faults + leaks)


SIZES = st.sampled_from([16, 64, 256])
POINTERS = st.sampled_from([0, *ADDRESSES, *[address + 8 for address in ADDRESSES]])
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("allocate"), st.sampled_from(ADDRESSES), SIZES, st.sampled_from(KINDS)),
        st.tuples(st.just("release"), POINTERS, SIZES, st.sampled_from(KINDS)),
    ),
    max_size=30,
)


@settings(max_examples=500, deadline=None)
@given(EVENTS)
def test_the_audit_finds_what_the_model_finds(events: list[tuple[str, int, int, Kind]]) -> None:
    model = Model()
    for what, address, size, kind in events:
        getattr(model, what)(address, size, kind)
    judgement = model.history.done()
    expected = model.end()
    assert sorted((one.rule, one.serial) for one in judgement.findings) == expected
    assert judgement.reasons == ()
    assert judgement.verdict is (Verdict.FAULTY if expected else Verdict.CLEAN)
    assert judgement.allocations == len(model.known)


@settings(max_examples=200, deadline=None)
@given(EVENTS, st.data())
def test_a_lost_record_is_never_clean_by_itself(
    events: list[tuple[str, int, int, Kind]], data: st.DataObject
) -> None:
    """Without one record of an allocation, release or reclaim, by whomever, it is not clean."""
    model = Model()
    for what, address, size, kind in events:
        getattr(model, what)(address, size, kind)
    history = model.history.end().settle()
    tells = [
        index
        for index, row in enumerate(history.rows)
        if row["type"] in (Type.ALLOCATE, Type.RELEASE, Type.RECLAIM)
    ]
    if not tells or history.judged().verdict is not Verdict.CLEAN:
        return
    del history.rows[data.draw(st.sampled_from(tells))]
    assert history.judged().verdict is not Verdict.CLEAN
