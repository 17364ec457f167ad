"""What the pictures draw, and that they say what they leave out."""

from typing import Any

import numpy as np
import pytest

from freeonce.audit.model import Rule
from freeonce.evidence.exits import exit_name
from freeonce.evidence.ledger import Flag, Kind, Records, Structure, Type, seal
from freeonce.report import lifetimes
from freeonce.report.accounts import accounts
from freeonce.report.lifetimes import NOTHING, Limits, Picture, picture
from freeonce.report.memory_map import STRETCHES, memory_map
from tests.unit.history import PAGE, History, run


def drawn(history: History, limits: Limits | None = None) -> Picture:
    records, judgement = history.records(), history.judged()
    return picture(records, judgement, limits) if limits else picture(records, judgement)


def test_a_bar_lasts_from_allocation_to_release() -> None:
    history = run().allocate(1, 0x1000).text(Type.LABEL, "foo", serial=1).release(1, 0x1000)
    (bar,) = drawn(history.end().settle()).bars
    # A record each microsecond; the axis begins where the probes are attached, at the second.
    records = history.records()
    begin = int(records["time"][1])
    own = records[records["witness"] == 1]
    times = {
        kind: int(own["time"][own["type"] == kind][0]) - begin
        for kind in Type
        if kind in own["type"]
    }
    assert (bar.start, bar.end) == (times[Type.ALLOCATE], times[Type.RELEASE])
    assert (bar.serial, bar.kind, bar.name, bar.size, bar.rules) == (1, "pool", "foo", 64, ())


def test_what_is_never_released_has_no_end_and_its_rule() -> None:
    seen = drawn(run().allocate(1, 0x1000).end().settle())
    assert [(bar.end, bar.rules) for bar in seen.bars] == [(None, ("leak",))]
    (mark,) = seen.marks
    assert (mark.what, mark.serial, mark.time) == ("leak", 1, seen.span)


def test_a_release_that_was_kept_from_the_kernel_says_so() -> None:
    history = run().allocate(1, 0x1000).release(1, 0x1000, kind=Kind.CONTIGUOUS, withheld=True)
    (bar,) = drawn(history.end().settle()).bars
    assert bar.withheld
    assert bar.rules == ("mismatched-free",)


def test_a_fault_without_an_allocation_is_a_mark() -> None:
    history = run().text(Type.STEP, "assign").release(0, 0, withheld=True).end().settle()
    seen = drawn(history)
    assert [mark.what for mark in seen.marks] == ["step", "null-free"]
    assert seen.bars == ()


def test_entries_and_exits_are_marks_with_their_names() -> None:
    history = run().add(Type.VMRUN, physical=0x5000).add(Type.VMEXIT, detail=0x72).end().settle()
    entry, leave = drawn(history).marks
    assert (entry.what, entry.text) == ("vmrun", "VMCB 0x5000")
    assert leave.what == "vmexit"
    assert leave.text.startswith("CPUID,")


@pytest.mark.parametrize(
    ("code", "name"),
    # AMD manual volume 2, appendix C.
    [
        (0x00, "VMEXIT_CR0_READ"),
        (0x1F, "VMEXIT_CR15_WRITE"),
        (0x46, "VMEXIT_EXCP[6]"),
        (0x81, "VMEXIT_VMMCALL"),
        (0x400, "VMEXIT_NPF"),
    ],
)
def test_exits_have_the_manuals_names(code: int, name: str) -> None:
    assert exit_name(code) == name


def test_an_unknown_exit_is_its_number() -> None:
    assert exit_name(0x999) == "0x999"


def test_of_too_many_allocations_the_faulty_are_drawn_and_the_rest_counted() -> None:
    history = run()
    for serial in range(1, 101):
        history.allocate(serial, 0x1000 * serial)
        if serial != 100:
            history.release(serial, 0x1000 * serial)
    seen = drawn(history.end().settle(), Limits(bars=10, marks=10))
    assert [bar.serial for bar in seen.bars] == [*range(1, 10), 100]
    assert seen.bars_left_out == 90


def test_of_too_many_entries_each_mark_says_how_many_it_stands_for() -> None:
    history = run()
    for _ in range(500):
        history.add(Type.VMRUN, physical=0x5000).add(Type.VMEXIT, detail=0x78)
    seen = drawn(history.end().settle(), Limits(bars=10, marks=20))
    assert len(seen.marks) <= 20
    for what in ("vmrun", "vmexit"):
        assert sum(mark.count for mark in seen.marks if mark.what == what) == 500
    assert seen.marks_merged == 1000 - len(seen.marks)


def test_steps_that_are_not_drawn_are_counted() -> None:
    history = run()
    for number in range(30):
        history.text(Type.STEP, f"step {number}")
    seen = drawn(history.end().settle(), Limits(bars=10, marks=20))
    assert len(seen.marks) == 20
    assert seen.marks_left_out == 10


def with_times(history: History, times: list[int]) -> Records:
    records = history.records().copy()
    records["time"] = np.resize(np.array(times, dtype=np.uint64), len(records))
    return seal(records)


@pytest.mark.parametrize("times", [[5, 4, 3], [0, (1 << 64) - 1], [1 << 63], [0]])
def test_times_that_make_no_sense_stay_on_the_axis(times: list[int]) -> None:
    history = run().allocate(1, 0x1000).release(1, 0x1000).add(Type.VMRUN).end().settle()
    seen = picture(with_times(history, times), history.judged())
    assert 0 <= seen.span <= 1 << 53
    moments = [mark.time for mark in seen.marks] + [bar.start for bar in seen.bars]
    assert all(0 <= moment <= seen.span for moment in moments)


def test_of_a_lost_run_what_it_told_is_drawn() -> None:
    seen = drawn(run().allocate(1, 0x1000))
    assert [bar.end for bar in seen.bars] == [None]


def test_of_nothing_nothing_is_drawn() -> None:
    assert drawn(History()) == NOTHING


def test_the_map_has_a_stretch_for_pages_that_lie_together() -> None:
    history = run()
    for serial, pointer in enumerate((0x1000, 0x1100, 0x2000, 0x9000), start=1):
        history.allocate(serial, pointer)
    bars = drawn(history.end().settle()).bars
    seen = memory_map(bars, history.memory().snapshot)
    assert [(one.gpa, one.size, one.serials) for one in seen.stretches] == [
        (0x1000, 2 * PAGE, (1, 2, 3)),
        (0x9000, PAGE, (4,)),
    ]
    # What the history's host reads: each allocation with its guard.
    assert seen.read == 4 * (64 + 16)
    assert all(one.size == 80 for stretch in seen.stretches for one in stretch.looked)


def test_a_map_of_too_many_stretches_says_how_many_are_missing() -> None:
    history = run()
    for serial in range(1, STRETCHES + 6):
        history.allocate(serial, 0x10000 * serial)
    seen = memory_map(drawn(history.end().settle()).bars, None)
    assert (len(seen.stretches), seen.left_out, seen.read) == (STRETCHES, 5, 0)


def test_the_three_accounts_stand_side_by_side() -> None:
    history = run().allocate(1, 0x1000).release(1, 0x1000).allocate(2, 0x3000).end().settle()
    bars = drawn(history).bars
    released, leaked = accounts(bars, history.records(), history.memory({0x1004: 0}))
    assert released.ledger == "pool, 64 bytes; released"
    assert released.kernel == "kmalloc, 80 bytes; got it back when it was settled"
    assert released.memory == "guard says released; poison broken at byte 4"
    assert leaked.ledger == "pool, 64 bytes; never released"
    assert leaked.memory == "guard says live"


def test_what_a_witness_did_not_see_is_said() -> None:
    history = run().allocate(1, 0x1000, seen=False).end()
    (one,) = accounts(drawn(history).bars, history.records(), None)
    assert one.kernel == "saw no allocation here"
    assert one.memory == "was not read"


def test_memory_of_the_kernels_allocators_is_not_held_against_our_own() -> None:
    """Its witness tells only what it does by itself, and a vmalloc area lies in no one piece."""
    history = run().take(1, 0x1000).take(2, 0x9000)
    history.rows[-1]["kind"] = int(Kind.VMALLOC)
    history.kernel(Type.RELEASE, serial=1, pointer=0x1000, kind=int(Kind.SLAB))
    history.of_kernel.pop(1)
    bars = drawn(history.end().settle()).bars
    slab, area = accounts(bars, history.records(), None)
    assert slab.kernel == "released it by itself"
    assert area.kernel == "called through a wrapper, which records it"
    assert area.memory == "was not read"
    (stretch,) = memory_map(bars, None).stretches
    assert stretch.serials == (1,)


def given() -> History:
    """A VMCB and two pages of a table, bound to an L2 and taken back; a map that stays."""
    history = run().allocate(1, 0x10000, size=PAGE, kind=Kind.CONTIGUOUS, align_log2=12)
    history.allocate(2, 0x20000, size=2 * PAGE, kind=Kind.CONTIGUOUS, align_log2=12)
    history.bind(1, 0x10000).operand(1, Structure.VMCB, 0x10000)
    for page in (0x20000, 0x21000):
        history.operand(1, Structure.NESTED_TABLE, page)
    history.add(Type.UNBIND, serial=1)
    return history.bind(2, 0x10000).operand(2, Structure.IOPM, 0x30000, size=3 * PAGE)


def test_what_the_cpu_was_given_lasts_from_bind_to_unbind() -> None:
    history = given()
    seen = drawn(history.end().settle())
    records = history.records()
    begin = int(records["time"][1])

    def of(kind: Type, number: int = 0) -> tuple[int, int]:
        record = records[records["type"] == kind][number]
        return int(record["time"]) - begin, int(record["sequence"])

    vmcb, table, permissions = seen.bands
    assert (vmcb.owner, vmcb.serial, vmcb.physical, vmcb.size) == ("L2 1", 1, 0x10000, PAGE)
    assert (vmcb.start, vmcb.first) == of(Type.OPERAND)
    assert (vmcb.end, vmcb.last) == of(Type.UNBIND)
    # Pages that go together are one band.
    assert (table.serial, table.count, table.size) == (2, 2, 2 * PAGE)
    assert (table.start, table.first) == of(Type.OPERAND, 1)
    # It was never taken back, and lies in no allocation.
    assert (permissions.owner, permissions.serial, permissions.end) == ("L2 2", 0, None)
    assert permissions.rules == ("hardware-use-after-free",)
    assert vmcb.rules == ()
    assert [band.what.split(",")[0] for band in seen.bands] == [
        "VMCB",
        "nested page table",
        "I/O permissions map",
    ]


def test_bands_that_are_not_drawn_are_counted_and_not_the_faulty_ones() -> None:
    seen = drawn(given().end().settle(), Limits(1, 100))
    assert [band.rules for band in seen.bands] == [("hardware-use-after-free",)]
    assert seen.bands_left_out == 2


def test_memory_of_l1_that_an_l2_sees_is_its_own() -> None:
    history = run().bind(1, 0x10000)
    for page in (0x50000, 0x51000):
        flags = int(Flag.IDENTITY)
        history.operand(1, Structure.NESTED_PAGE, page, pointer=page, flags=flags)
    (band,) = drawn(history.end().settle()).bands
    assert (band.identity, band.serial, band.count) == (True, 0, 2)


def test_no_look_up_copies_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numpy copies a column of records, and one of another type, each time it searches in it."""
    searched = 0
    search = np.searchsorted

    def watched(column: Any, value: Any, *words: Any, **names: Any) -> Any:
        nonlocal searched
        if np.ndim(value) == 0:
            searched += 1
            assert column.flags.c_contiguous
            assert np.result_type(column, np.asarray(value)) == column.dtype
        return search(column, value, *words, **names)

    history = run().bind(1, 0).operand(1, Structure.VMCB, 0x8000, PAGE)
    history.allocate(1, 0x8000, PAGE, Kind.CONTIGUOUS, 12).release(0, 0, withheld=True)
    history.end().settle()
    judgement = history.judged()
    monkeypatch.setattr(np, "searchsorted", watched)
    seen = picture(history.records(), judgement)
    assert len(seen.bands) == 1
    assert searched >= 3


def test_each_rule_of_an_allocation_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger may give one serial to every allocation: each has all findings of that serial."""
    history = run()
    for number in range(50):
        history.allocate(1, 0x1000 * (number + 1))
    history.end().settle()
    words = 0
    bar = lifetimes._bar

    def counted(run: Any, index: int, release: Any, rules: Any, clock: Any) -> Any:
        nonlocal words
        words += sum(map(len, rules.values()))
        return bar(run, index, release, rules, clock)

    monkeypatch.setattr(lifetimes, "_bar", counted)
    seen = drawn(history)
    assert len(seen.bars) == 50
    assert words <= 50 * len(Rule)
