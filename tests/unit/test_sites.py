"""Where memory was acquired: held against a count by hand, and as folded stacks."""

from hypothesis import given
from hypothesis import strategies as st

from freeonce.report.places import Everywhere
from freeonce.report.sites import CallSite, call_sites, folded
from freeonce.subject.places import Frame, Place
from tests.unit.history import History, run
from tests.unit.results import result

STEP = st.one_of(
    st.tuples(st.just("acquire"), st.integers(1, 3), st.integers(1, 100)),
    st.tuples(st.just("release"), st.integers(0, 30), st.booleans()),
)


def acquire(history: History, serial: int, site: int, size: int) -> None:
    history.allocate(serial, 0x1000 * serial, size=size)
    history.rows[-1]["site"] = site


@given(st.lists(STEP, max_size=40))
def test_each_stack_is_counted_as_by_hand(steps: list[tuple[str, int, int]]) -> None:
    history = run()
    sites: dict[int, int] = {}
    sizes: dict[int, int] = {}
    live: set[int] = set()
    counts = {site: [0] * 5 for site in (1, 2, 3)}
    for what, first, second in steps:
        if what == "acquire":
            serial = len(sites) + 1
            sites[serial], sizes[serial] = first, second
            acquire(history, serial, first, second)
            live.add(serial)
            counts[first][0] += 1
            counts[first][2] += second
        elif first in sites:
            withheld = bool(second)
            history.release(first, 0x1000 * first, size=sizes[first], withheld=withheld)
            if not withheld and first in live:
                live.remove(first)
                counts[sites[first]][1] += 1
        for site, count in counts.items():
            mine = [sizes[one] for one in live if sites[one] == site]
            count[3], count[4] = max(count[3], len(mine)), max(count[4], sum(mine))
    found = call_sites(history.end().records())
    assert {one.site: one for one in found} == {
        site: CallSite(site, found[0].family, *count) for site, count in counts.items() if count[0]
    }
    assert [one.most_bytes for one in found] == sorted(
        (one.most_bytes for one in found), reverse=True
    )


def test_folded_stacks_are_outermost_first_and_parted_safely() -> None:
    history = run()
    for serial, site in ((1, 1), (2, 1), (3, 2)):
        acquire(history, serial, site, 100)
    one = result("nbd", history.end())
    frames = (Frame("f;g h", 4, "nbd"), Frame("init", 8, "nbd"))
    places = Everywhere(otherwise={1: Place(frames[0], frames)})
    assert folded([one], places) == "nbd;[unknown] 100\nnbd;nbd`init;nbd`f,g_h 200\n"
    partial = folded([one], places, "broken off after 1 of 2").splitlines()
    assert partial[0] == "broken_off_after_1_of_2;nbd;[unknown] 100"
    assert folded([one], places, count=True).splitlines()[1].endswith(" 2")


def test_nothing_acquired_is_an_empty_table() -> None:
    one = result("nbd", run().end())
    assert call_sites(one.evidence.records) == []
    assert folded([one], Everywhere()) == ""
