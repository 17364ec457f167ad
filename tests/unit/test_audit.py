"""Each rule on a history that commits its fault, and the verdict around it."""

from unittest.mock import Mock

import numpy as np
import pytest

from freeonce.audit.audit import judge
from freeonce.audit.match import match
from freeonce.audit.model import Account, Judgement, Rule, Verdict
from freeonce.audit.run import NONE, take_apart
from freeonce.evidence.ledger import Flag, Kind, Type, text_of_bytes
from freeonce.evidence.scenarios import Expectation
from tests.unit.history import PAT_WB, History, run

POOL, CONTIGUOUS = Kind.POOL, Kind.CONTIGUOUS
A, B = 0xFFFF_8880_0000_1000, 0xFFFF_8880_0000_2000
ANYWHERE = (1 << 64) - 1


def judged(history: History) -> tuple[Verdict, list[tuple[Rule, str]]]:
    judgement = history.done()
    return judgement.verdict, [(one.rule, one.kind) for one in judgement.findings]


def test_released_once_by_the_right_call_is_clean() -> None:
    history = run().allocate(1, A).release(1, A).allocate(2, B, kind=CONTIGUOUS)
    assert judged(history.release(2, B, kind=CONTIGUOUS)) == (Verdict.CLEAN, [])


def test_nothing_done_is_clean() -> None:
    assert judged(run()) == (Verdict.CLEAN, [])


@pytest.mark.parametrize("kind", [POOL, CONTIGUOUS])
def test_leak(kind: Kind) -> None:
    history = run().allocate(1, A, kind=kind).allocate(2, B, kind=kind).release(2, B, kind=kind)
    assert judged(history) == (Verdict.FAULTY, [(Rule.LEAK, kind.name.lower())])


def test_a_leak_names_its_allocation() -> None:
    history = run().allocate(7, A, size=96).text(Type.LABEL, "bar", serial=7)
    (finding,) = history.done().findings
    assert (finding.serial, finding.size, finding.what, finding.at) == (7, 96, "bar", None)


def test_double_free() -> None:
    history = run().allocate(1, A).release(1, A).text(Type.STEP, "again")
    history.release(1, A, withheld=True)
    judgement = history.done()
    assert [(one.rule, one.serial, one.at) for one in judgement.findings] == [
        (Rule.DOUBLE_FREE, 1, "again")
    ]


def test_three_releases_are_two_double_frees() -> None:
    history = run().allocate(1, A).release(1, A)
    history.release(1, A, withheld=True).release(1, A, withheld=True)
    assert judged(history)[1] == [(Rule.DOUBLE_FREE, "pool")] * 2


@pytest.mark.parametrize("kind", [POOL, CONTIGUOUS])
def test_null_free_is_of_the_call(kind: Kind) -> None:
    history = run().release(0, 0, kind=kind, withheld=True)
    assert judged(history) == (Verdict.FAULTY, [(Rule.NULL_FREE, kind.name.lower())])


def test_invalid_free_of_what_was_never_allocated() -> None:
    history = run().release(0, A, withheld=True)
    assert judged(history) == (Verdict.FAULTY, [(Rule.INVALID_FREE, "pool")])


@pytest.mark.parametrize("offset", [1, 16, 63])
def test_invalid_free_of_an_interior_pointer(offset: int) -> None:
    history = run().allocate(1, A).release(0, A + offset, withheld=True).release(1, A)
    judgement = history.done()
    (finding,) = judgement.findings
    assert (finding.rule, finding.serial) == (Rule.INVALID_FREE, 1)
    assert finding.detail == f"{offset} bytes inside of it"


def test_inside_is_by_the_distance_wherever_it_begins() -> None:
    history = run().allocate(1, A + 0x38).release(0, A + 0x40, withheld=True).release(1, A + 0x38)
    (finding,) = history.done().findings
    assert (finding.serial, finding.detail) == (1, "8 bytes inside of it")


def test_a_finding_is_at_the_last_step_before_it() -> None:
    history = run().release(0, 0, withheld=True)
    for step in ("first", "second", "third"):
        history.text(Type.STEP, step).release(0, 0, withheld=True)
    assert [one.at for one in history.done().findings] == [None, "first", "second", "third"]


def test_one_past_the_end_is_inside_of_nothing() -> None:
    history = run().allocate(1, A).release(0, A + 64, withheld=True).release(1, A)
    (finding,) = history.done().findings
    assert (finding.rule, finding.serial, finding.detail) == (
        Rule.INVALID_FREE,
        0,
        "never allocated",
    )


@pytest.mark.parametrize(("kind", "other"), [(POOL, CONTIGUOUS), (CONTIGUOUS, POOL)])
def test_mismatched_free_is_of_the_allocation(kind: Kind, other: Kind) -> None:
    history = run().allocate(1, A, kind=kind).release(1, A, kind=other, withheld=True)
    assert judged(history) == (Verdict.FAULTY, [(Rule.MISMATCHED_FREE, kind.name.lower())])


def test_a_mismatched_free_is_the_release() -> None:
    history = run().allocate(1, A).release(1, A, kind=CONTIGUOUS, withheld=True)
    history.release(1, A, withheld=True)
    assert [rule for rule, _ in judged(history)[1]] == [Rule.MISMATCHED_FREE, Rule.DOUBLE_FREE]


@pytest.mark.parametrize(("size", "align_log2"), [(32, 3), (128, 3), (64, 4), (64, 255), (0, 3)])
def test_wrong_size_free(size: int, align_log2: int) -> None:
    history = run().allocate(1, A).release(1, A, size=size, align_log2=align_log2)
    assert judged(history) == (Verdict.FAULTY, [(Rule.WRONG_SIZE_FREE, "pool")])


def contiguous(physical: int, align_log2: int = 12, cache: int = PAT_WB, node: int = 1) -> History:
    return run().allocate(
        1, A, 8192, CONTIGUOUS, align_log2, physical=physical, detail=cache | node << 8
    )


def constrained(
    history: History,
    lowest: int = 0,
    highest: int = ANYWHERE,
    boundary: int = 0,
    cache: int = PAT_WB,
    node: int = 0,
) -> History:
    history.rows.pop()
    align_log2 = history.rows[-1]["align_log2"]
    history.add(
        Type.CONSTRAINT,
        serial=1,
        kind=int(CONTIGUOUS),
        pointer=lowest,
        physical=highest,
        size=boundary,
        detail=cache | node << 8,
    )
    return history.release(1, A, 8192, CONTIGUOUS, align_log2)


@pytest.mark.parametrize(
    "history",
    [
        constrained(contiguous(0x10000)),
        constrained(contiguous(0x10000), lowest=0x10000, highest=0x11FFF),
        constrained(contiguous(0x12000), boundary=0x4000),
        constrained(contiguous(0x10000, cache=7), cache=0),
        constrained(contiguous(0x10000, cache=1), cache=1),
        constrained(contiguous(0x10000, node=3), node=3),
        constrained(contiguous(0x40000, align_log2=18)),
    ],
)
def test_a_placement_as_asked_for_is_clean(history: History) -> None:
    assert judged(history) == (Verdict.CLEAN, [])


@pytest.mark.parametrize(
    ("history", "words"),
    [
        (constrained(contiguous(0x10000), lowest=0x10001), "not inside"),
        (constrained(contiguous(0x10000), highest=0x11FFE), "not inside"),
        (constrained(contiguous(0x11000), boundary=0x2000), "crosses"),
        (constrained(contiguous(0x13000), boundary=0x4000), "crosses"),
        (constrained(contiguous(0x10000, cache=6), cache=0), "cache type WB, asked for UC"),
        (constrained(contiguous(0x10000, cache=7), cache=1), "cache type UC-, asked for WC"),
        (constrained(contiguous(0x10000, cache=255), cache=6), "cache type 255, asked for WB"),
        (constrained(contiguous(0x10000, node=1), node=2), "on node 0, asked for node 1"),
        (constrained(contiguous(0x41000, align_log2=18)), "0x41000 is not aligned to 262144"),
        (constrained(contiguous(0x10000, align_log2=200)), "no power of two"),
    ],
)
def test_misplaced(history: History, words: str) -> None:
    judgement = history.done()
    assert [one.rule for one in judgement.findings] == [Rule.MISPLACED]
    assert words in judgement.findings[0].detail


def test_a_cache_type_that_stays_is_not_restored() -> None:
    """The attributes of released memory are write-back again (docs/rules.md)."""
    history = run().allocate(3, B).allocate(7, A, kind=CONTIGUOUS, detail=1)
    history.release(3, B).release(7, A, kind=CONTIGUOUS)
    restored = next(row for row in history.rows if row["type"] == Type.RESTORED)
    assert judged(history) == (Verdict.CLEAN, [])
    for left, name in ((0, "UC"), (1, "WC"), (4, "WT"), (5, "WP"), (7, "UC-"), (9, "9")):
        restored["detail"] = left
        (finding,) = history.judged().findings
        assert (finding.rule, finding.kind, finding.serial) == (Rule.NOT_RESTORED, "contiguous", 7)
        assert finding.detail == f"still cache type {name} after its release"


def test_serials_are_found_where_they_are() -> None:
    history = run()
    for number in (2, 5, 6):
        history.allocate(number, A + number * 4096)
    asked = np.array([6, 1, 2, 4, 5, 9], np.uint32)
    found = take_apart(history.records()).by_serials(asked).tolist()
    assert found == [2, NONE, 0, NONE, 1, NONE]


def test_pool_alignment_is_of_the_virtual_address() -> None:
    history = run().allocate(1, A + 8, align_log2=4, physical=A).release(1, A + 8, align_log2=4)
    assert judged(history)[1] == [(Rule.MISPLACED, "pool")]


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        (History().end(), "no begin"),
        (History(), "no begin"),
        (run(), "no end"),
        (History().text(Type.BEGIN, "test/scenario"), "no end"),
        (run().begin().end().settle(), "no begin"),
        (run().end(-12).settle(), "gave up with -12 (ENOMEM)"),
        (run().end(), "not settled"),
        (run().end().settle().text(Type.STEP, "more"), "not settled"),
        (run().end().settle().settle(), "not settled"),
        (run().end().end().settle(), "no end"),
    ],
)
def test_without_its_frame_a_run_is_incomplete(history: History, reason: str) -> None:
    judgement = history.judged()
    assert judgement.verdict is Verdict.INCOMPLETE
    assert reason in "; ".join(judgement.reasons)


def test_a_witness_that_is_missing_makes_it_incomplete() -> None:
    history = run().end().settle()
    for judgement, name in (
        (judge(history.records(), None), "memory"),
        (judge(history.records(), history.memory(), (), Account.MISSING), "ledger"),
    ):
        assert judgement.verdict is Verdict.INCOMPLETE
        assert judgement.witnesses[name] is Account.MISSING
    for detail in (0b0111, 0b1110, 0):
        history.rows[1]["detail"] = detail
        judgement = history.judged()
        assert judgement.verdict is Verdict.INCOMPLETE
        assert judgement.witnesses["kernel"] is Account.MISSING


def test_only_a_write_of_the_cpus_is_one_fault_with_its_release() -> None:
    history = run().allocate(1, A).release(1, A).release(1, A, withheld=True).end().settle()
    found = [(one.rule, one.witness) for one in history.judged(written={A: 0}).findings]
    assert sorted(found) == [(Rule.DOUBLE_FREE, "ledger"), (Rule.USE_AFTER_FREE, "memory")]


def disagreement(judgement: Judgement) -> str:
    """The detail of the one finding that is there."""
    (finding,) = judgement.findings
    assert finding.rule is Rule.WITNESSES_DISAGREE
    assert judgement.verdict is Verdict.FAULTY
    return finding.detail


def test_an_account_of_the_guest_that_differs_is_incomplete_and_hides_nothing() -> None:
    history = run().release(0, 0, withheld=True).end().settle()
    judgement = judge(history.records(), history.memory(), (), Account.DISAGREE)
    assert judgement.verdict is Verdict.INCOMPLETE
    assert "not what stands in its memory" in "; ".join(judgement.reasons)
    assert judgement.witnesses["ledger"] is Account.DISAGREE
    assert [one.rule for one in judgement.findings] == [Rule.NULL_FREE]


def test_a_dispute_about_null_hides_no_release_of_null() -> None:
    judgement = run().release(0, 0).done()
    assert [one.rule for one in judgement.findings] == [Rule.NULL_FREE, Rule.WITNESSES_DISAGREE]
    assert "not withheld" in judgement.findings[1].detail


def test_a_disagreement_names_what_else_would_be_said_of_its_address() -> None:
    history = run().allocate(1, A).release(1, A).release(1, A)
    assert "double-free by the account of the ledger" in disagreement(history.done())


@pytest.mark.parametrize(
    ("history", "detail"),
    [
        (run().allocate(2, A).release(2, A).allocate(1, B).release(1, B), "out of order"),
        (run().allocate(0, A).release(0, A), "out of order"),
        (run().allocate(1, A).release(1, A).allocate(2, A).release(2, A), "address twice"),
        (run().allocate(1, A).release(9, A).release(1, A), "which is not in the ledger"),
        (run().allocate(1, A).release(0, A), "names none"),
        (run().allocate(1, A).release(1, A, withheld=True), "sound release was withheld"),
        (run().allocate(1, A).release(1, A).release(1, A), "not withheld"),
    ],
)
def test_a_ledger_that_contradicts_itself_disagrees(history: History, detail: str) -> None:
    assert detail in disagreement(history.done())


def test_a_disagreement_is_at_the_first_record_that_disagrees() -> None:
    history = run().allocate(1, A)
    first = len(history.rows) + 1
    history.release(9, A).release(8, A).release(1, A)
    judgement = history.done()
    assert disagreement(judgement).count("which is not in the ledger") == 2
    assert judgement.findings[0].sequence == first


def test_memory_given_back_while_the_scenario_ran_disagrees() -> None:
    history = run().allocate(1, A).release(1, A).add(Type.RECLAIM, serial=1, pointer=A)
    assert "while the scenario ran" in disagreement(history.done())


def test_nothing_but_act_real_excuses_memory_given_back_while_the_scenario_ran() -> None:
    history = run().allocate(1, A).release(1, A)
    history.add(Type.RECLAIM, serial=1, pointer=A, kind=int(POOL)).end().settle()
    for flags, texts in (
        (int(Flag.REAL), []),
        (0xFF & ~int(Flag.REAL), ["memory went back to the kernel while the scenario ran"]),
    ):
        history.rows[0]["flags"] = flags
        assert [one.text for one in take_apart(history.records()).disputes] == texts


def test_records_of_two_runs_are_never_a_verdict() -> None:
    history = run()
    history.run = 2
    assert history.done().verdict is Verdict.INCOMPLETE


def test_doubts_make_it_incomplete_and_findings_stand() -> None:
    history = run().allocate(1, A).end().settle()
    judgement = judge(history.records(), history.memory(), ("guest lost",))
    assert judgement.verdict is Verdict.INCOMPLETE
    assert [one.rule for one in judgement.findings] == [Rule.LEAK]
    assert judgement.reasons == ("guest lost",)


def test_unsupported_names_what_is_missing() -> None:
    judgement = run().text(Type.UNSUPPORTED, "VM_CR.SVMDIS").done()
    assert judgement.verdict is Verdict.UNSUPPORTED
    assert judgement.reasons == ("not on this CPU: VM_CR.SVMDIS",)


def test_what_had_to_be_tried_first_is_unsupported_all_the_same() -> None:
    history = run().allocate(1, A).release(1, A).text(Type.UNSUPPORTED, "#XF is never raised")
    assert judged(history) == (Verdict.UNSUPPORTED, [])


def test_a_fault_on_the_way_there_is_a_fault() -> None:
    history = run().allocate(1, A).text(Type.UNSUPPORTED, "#XF is never raised")
    assert judged(history) == (Verdict.FAULTY, [(Rule.LEAK, "pool")])


@pytest.mark.parametrize(
    ("align_log2", "words"),
    [(4, "64 bytes aligned to 16"), (255, "64 bytes aligned to no power of two")],
)
def test_a_wrong_layout_is_told_in_words(align_log2: int, words: str) -> None:
    (finding,) = run().allocate(1, A).release(1, A, align_log2=align_log2).done().findings
    assert finding.detail == f"as {words}, allocated as 64 bytes aligned to 8"


@pytest.mark.parametrize(
    ("pointer", "words"),
    [
        ((1 << 64) - 12, "it is the error -12 (ENOMEM)"),
        ((1 << 64) - 4095, "it is the error -4095"),
        ((1 << 64) - 4096, "never allocated"),
    ],
)
def test_an_error_taken_for_a_pointer_is_named(pointer: int, words: str) -> None:
    """ERR_PTR() has errors from -4095 on (include/linux/err.h)."""
    history = run().release(0, pointer, withheld=True)
    (finding,) = history.done().findings
    assert finding.detail.endswith(words) or f"{words} (" in finding.detail


def test_counts() -> None:
    history = run().allocate(1, A).release(0, 0, withheld=True).release(1, A)
    history.add(Type.VMRUN).add(Type.VMEXIT, detail=0x72)
    history.add(Type.ALLOCATE_FAILED, flags=Flag.INJECTED)
    judgement = history.done()
    counts = (judgement.allocations, judgement.releases, judgement.vmruns, judgement.events)
    # begin, witness_on, two cpu_states, kernel allocate, allocate, two releases, guard,
    # vmrun, vmexit, allocate_failed, end, reclaim, kernel release, settled.
    assert counts == (1, 2, 1, 16)


@pytest.mark.parametrize(
    ("expected", "matches"),
    [
        ((Expectation("leak", "pool"),), True),
        ((Expectation("leak", "pool", what="bar"),), True),
        ((Expectation("leak", "pool", what="foo"),), False),
        ((Expectation("leak", "pool", at="assign"),), False),
        ((Expectation("leak", "contiguous"),), False),
        ((Expectation("null-free", "pool"),), False),
        ((), False),
        ((Expectation("leak", "pool"), Expectation("leak", "pool")), False),
    ],
)
def test_expectations_match_exactly(expected: tuple[Expectation, ...], matches: bool) -> None:
    leak = run().allocate(1, A).text(Type.LABEL, "bar", serial=1).done().findings
    assert match(leak, expected)[1] is matches


def test_a_vague_expectation_leaves_the_precise_one_its_finding() -> None:
    history = run().allocate(1, A).text(Type.LABEL, "bar", serial=1).allocate(2, B)
    findings = history.done().findings
    expected = (Expectation("leak", "pool"), Expectation("leak", "pool", what="bar"))
    assert match(findings, expected)[1]


def test_names_are_read_once_however_many_findings_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A table of names rebuilt for each finding would make many leaks take hours."""
    history = run()
    for serial in range(1, 1001):
        history.allocate(serial, A + serial * 4096)
        history.text(Type.LABEL, "lost", serial=serial)
    reads = Mock(side_effect=text_of_bytes)
    monkeypatch.setattr("freeonce.evidence.said.text_of_bytes", reads)
    assert len(history.done().findings) == 1000
    assert reads.call_count == 1000


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        (run().text(Type.PANIC, "at src/x.rs"), "Rust panicked"),
        (run().add(Type.MODULE_EXIT), "the module was unloaded"),
        (run().add(Type.VMRUN), "a VMRUN never came back"),
    ],
)
def test_what_must_not_be_inside_a_run_is_no_verdict(history: History, reason: str) -> None:
    judgement = history.done()
    assert judgement.verdict is Verdict.INCOMPLETE
    assert reason in judgement.reasons


def test_contiguous_memory_without_a_word_on_its_place_disagrees() -> None:
    history = run().allocate(1, A, kind=CONTIGUOUS).release(1, A, kind=CONTIGUOUS)
    history.rows = [row for row in history.rows if row["type"] != Type.CONSTRAINT]
    for number, row in enumerate(history.rows, start=1):
        row["sequence"] = number
    assert "what was asked for" in disagreement(history.done())


def test_two_words_on_one_place_disagree() -> None:
    history = run().allocate(1, A, kind=CONTIGUOUS).add(Type.CONSTRAINT, serial=1)
    assert "what was asked for" in disagreement(history.release(1, A, kind=CONTIGUOUS).done())


def test_memory_of_no_kind_disagrees() -> None:
    history = run().allocate(1, A).release(1, A)
    history.rows[-2]["kind"] = 0
    assert "memory of no kind" in disagreement(history.done())


def test_a_leak_is_not_proven_before_the_run_is_over() -> None:
    judgement = run().allocate(1, A).release(0, 0, withheld=True).judged()
    assert judgement.verdict is Verdict.INCOMPLETE
    assert [one.rule for one in judgement.findings] == [Rule.NULL_FREE]


def test_with_act_real_nothing_is_withheld_and_nothing_kept() -> None:
    history = run()
    history.rows[0]["flags"] = int(Flag.REAL)
    history.allocate(1, A).release(1, A)
    history.add(Type.RECLAIM, serial=1, pointer=A, kind=int(POOL))
    history.kernel(Type.RELEASE, pointer=A, kind=int(POOL)).release(1, A)
    history.end().add(Type.SETTLED)
    assert [one.rule for one in history.judged().findings] == [Rule.DOUBLE_FREE]


def test_a_leak_is_told_behind_what_happened() -> None:
    history = run().allocate(1, A).release(0, 0, withheld=True)
    assert judged(history) == (Verdict.FAULTY, [(Rule.NULL_FREE, "pool"), (Rule.LEAK, "pool")])


def test_a_leak_is_proven_by_ledger_and_memory() -> None:
    (finding,) = run().allocate(1, A).done().findings
    assert finding.witness == "ledger+memory"
    (alone,) = judge(run().allocate(1, A).end().settle().records(), None).findings
    assert alone.witness == "ledger"
