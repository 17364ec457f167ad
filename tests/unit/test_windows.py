"""The names of Windows: what a release names must be its allocation's, and where it may come."""

import fnmatch
import re
from pathlib import Path

import pytest

from freeonce.audit.model import Finding, Rule, Verdict
from freeonce.evidence.ledger import Flag, Kind, Type
from freeonce.report.words import sentence
from tests.unit.history import PAGE, PAT_WB, History, run

ROOT = Path(__file__).resolve().parents[2]
A = 0x10000
OURS = int.from_bytes(b"ours", "little")
OTHER = int.from_bytes(b"othe", "little")
UC = 0


def of_pool(named: int, *, withheld: bool = False, flags: int = 0, paged: bool = False) -> History:
    made = run().allocate(1, A, detail=OURS)
    if paged:
        made.rows[-1]["flags"] = int(Flag.PAGED)
    return made.release(1, A, withheld=withheld, named=named, flags=flags)


def of_contiguous(named: int, *, withheld: bool = False) -> History:
    made = run().allocate(1, A, kind=Kind.CONTIGUOUS, align_log2=12)
    return made.release(1, A, 64, Kind.CONTIGUOUS, 12, withheld, named)


def only(history: History) -> Finding:
    judgement = history.done()
    assert judgement.verdict is Verdict.FAULTY, judgement.reasons
    (finding,) = judgement.findings
    assert finding.rule is Rule.MISMATCHED_FREE
    return finding


@pytest.mark.parametrize("named", [0, OURS])
def test_its_own_tag_or_none_is_right(named: int) -> None:
    assert of_pool(named).done().verdict is Verdict.CLEAN


def test_another_tag_is_a_finding_with_both() -> None:
    words = sentence(only(of_pool(OTHER, withheld=True)))
    assert words.endswith("released with the tag 'othe', allocated with 'ours'")


def test_a_tag_that_is_no_text_is_a_number() -> None:
    assert "with the tag 0x1b5b324a," in sentence(only(of_pool(0x1B5B324A, withheld=True)))


@pytest.mark.parametrize(
    ("letter", "tag"), [(0x1F, None), (0x20, "o e "), (0x7E, "o~e~"), (0x7F, None)]
)
def test_a_tag_is_text_where_all_of_it_can_be_printed(letter: int, tag: str | None) -> None:
    """In ASCII from the blank on to the tilde."""
    named = int.from_bytes(bytes([ord("o"), letter, ord("e"), letter]), "little")
    how = f"{named:#x}" if tag is None else f"'{tag}'"
    assert f"with the tag {how}," in sentence(only(of_pool(named, withheld=True)))


def test_what_was_not_withheld_is_a_doubt_beside_it() -> None:
    assert of_pool(OTHER).done().verdict is not Verdict.CLEAN
    assert of_pool(OURS, withheld=True).done().verdict is not Verdict.CLEAN


@pytest.mark.parametrize(
    ("history", "rule"),
    [
        (of_pool(0).release(1, A, withheld=True, named=OTHER), Rule.DOUBLE_FREE),
        (of_pool(0).release(0, A + PAGE, withheld=True, named=OTHER), Rule.INVALID_FREE),
        (
            run().allocate(1, A).release(1, A, kind=Kind.CONTIGUOUS, withheld=True, named=OTHER),
            Rule.MISMATCHED_FREE,
        ),
    ],
)
def test_what_is_wrong_otherwise_is_not_asked_for_its_tag(history: History, rule: Rule) -> None:
    assert [one.rule for one in history.done().findings] == [rule]


@pytest.mark.parametrize("named", [0, PAT_WB + 1])
def test_its_own_cache_type_or_none_is_right(named: int) -> None:
    assert of_contiguous(named).done().verdict is Verdict.CLEAN


@pytest.mark.parametrize(("named", "name"), [(UC + 1, "UC"), (256, "255")])
def test_another_cache_type_is_a_finding_with_both(named: int, name: str) -> None:
    words = sentence(only(of_contiguous(named, withheld=True)))
    assert words.endswith(f"released as cache type {name}, asked for as WB")


def test_paged_pool_may_not_be_released_at_dispatch_level() -> None:
    raised = int(Flag.RAISED)
    for named in (OURS, 0):
        found = only(of_pool(named, withheld=True, flags=raised, paged=True))
        assert "at DISPATCH_LEVEL or above" in sentence(found)
    assert of_pool(OURS, flags=raised).done().verdict is Verdict.CLEAN
    assert of_pool(OURS, paged=True).done().verdict is Verdict.CLEAN
    # Other bits of `flags` say nothing of either.
    for flag in (Flag.EXACT, Flag.TAIL, Flag.WRAPPED):
        assert of_pool(OURS, flags=int(flag), paged=True).done().findings == ()
        history = of_pool(OURS, flags=raised)
        for row in history.rows:
            row["flags"] = row.get("flags", 0) or int(flag) * (row["type"] == Type.ALLOCATE)
        assert history.done().findings == ()


def test_contiguous_memory_is_of_any_level_and_needs_no_cache_type_named() -> None:
    history = of_contiguous(0)
    (release,) = (row for row in history.rows if row["type"] == Type.RELEASE)
    release["flags"] = int(Flag.RAISED)
    assert history.done().verdict is Verdict.CLEAN


def declared(path: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, (ROOT / "guest" / path).read_text()))


def test_c_and_rust_have_the_same_names() -> None:
    in_c = declared("instrument/families/windows.h", r"\b((?:Ex|Mm)\w+)\(")
    assert len(in_c) == 11
    assert declared("rust/src/windows.rs", r"fn ((?:Ex|Mm)\w+)\(") == in_c


def test_c_and_rust_have_the_same_numbers() -> None:
    number = r"(0x[0-9a-fA-F_]+|\d+)"
    header, rust = "instrument/families/windows.h", "rust/src/windows.rs"
    in_c = {
        (name, int(value, 0))
        for pattern in (rf"#define (\w+) {number}", rf"^\t(\w+) = {number},")
        for name, value in re.findall(pattern, (ROOT / "guest" / header).read_text(), re.MULTILINE)
    }
    in_rust = {
        (name, int(value.replace("_", ""), 0))
        for name, value in re.findall(
            rf"pub const (\w+): \w+ = {number};", (ROOT / "guest" / rust).read_text()
        )
    }
    # What nobody can have here is in C alone.
    assert {name for name, _ in in_c ^ in_rust} == {
        "POOL_RAISE_IF_ALLOCATION_FAILURE",
        "POOL_COLD_ALLOCATION",
    }


def test_the_page_names_what_there_is() -> None:
    page = (ROOT / "docs/from-windows.md").read_text()
    (pattern,) = re.findall(r"`freeonce run --pattern '(.*?)'`", page)
    sections = declared("specimens/scenarios/windows.c", r'#define SECTION "(.*?)"')
    sections |= declared("rust/src/scenarios/windows.rs", r'SECTION: &CStr = c"(.*?)"')
    assert len(sections) == 2
    assert all(fnmatch.fnmatchcase(one.lower(), pattern.lower()) for one in sections)
    # "...SpecifyCache" stands for the rest of a name, and "MmFree..." for several names.
    names = re.findall(r"\b(?:Ex|Mm)\w+(?!\w|\.\.\.)|\.\.\.Specify\w+", page)
    in_c = declared("instrument/families/windows.h", r"\b((?:Ex|Mm)\w+)\(")
    wholes = {name.replace("...", "MmAllocateContiguousMemory") for name in names}
    kinds = {"MmNonCached", "MmCached", "MmWriteCombined"}
    assert wholes - kinds == in_c
