"""The table of #VMEXITs: one in harness and guest, and what a survey of runs makes of it."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from freeonce.audit.audit import judge
from freeonce.audit.model import Account, Verdict
from freeonce.audit.result import Evidence, Result
from freeonce.evidence.exits import EXITS, Exit
from freeonce.evidence.ledger import Type
from freeonce.evidence.scenarios import Scenario
from freeonce.survey.kinds import Enforced, Kind, Status, Survey, survey
from freeonce.survey.tables import print_survey, survey_document
from tests.unit.history import History, run

ROOT = Path(__file__).resolve().parents[2]
RUST = (ROOT / "guest/rust/src/svm/exit.rs").read_text()
PROGRAM = (ROOT / "guest/specimens/l2/program.h").read_text()
HOST = dict.fromkeys(("accelerator", "reason", "qemu", "kernel", "rust"), "x")

ABBREVIATED = {"NPF": "NESTED_PAGE_FAULT", "EXCP": "EXCEPTION"}
"""Where the manual's names are shorter than ours."""


def plain(one: Exit) -> str:
    """The name without the manual's prefix and its number: CR_READ, EXCEPTION."""
    name = re.sub(r"\[.*\]", "", one.name.removeprefix("VMEXIT_"))
    return ABBREVIATED.get(name, name)


def arms() -> dict[str, tuple[int, int]]:
    """First and last code by variant, as exit.rs takes codes apart (low halves only)."""
    found = {}
    body = RUST.split("match code {")[1].split("_ =>")[0]
    for line in body.splitlines():
        if match := re.match(r"\s+(0x\w+)(?:\.\.=(0x\w+)|[^=]*)? => Exit::(\w+)", line):
            first = int(match[1].replace("_", ""), 16)
            last = int(match[2], 16) if match[2] else first
            found[match[3]] = (first, last)
    return found


def sections() -> dict[str, str]:
    """The section in the comment of each variant."""
    body = RUST.split("pub enum Exit {")[1].split("\n}")[0]
    return {
        variant: "C" if said == "appendix C" else said
        for said, variant in re.findall(r"/// ([\d.]+|appendix C)[^\n]*\n\s+(\w+)", body)
    }


def variant(one: Exit) -> str:
    return "".join(word.capitalize() for word in plain(one).split("_"))


def test_the_guest_takes_the_same_codes_apart() -> None:
    rust = arms()
    assert {variant(one) for one in EXITS} == rust.keys()
    for one in EXITS:
        first, last = rust[variant(one)]
        if variant(one) == "Exception":
            assert (first, last) == (0x40, 0x5F)
            assert first <= one.code == one.last <= last
        else:
            assert (one.code, one.last) == (first, last), one.name


def test_the_guest_names_the_same_sections() -> None:
    rust = sections()
    assert rust.keys() == arms().keys()
    for one in EXITS:
        # An exception has a subsection of its own.
        exact = one.section == rust[variant(one)]
        assert exact or one.section.startswith(f"{rust[variant(one)]}."), one.name


def test_programs_use_the_same_codes() -> None:
    codes = {plain(one): one.code for one in EXITS if "[" not in one.name}
    families = {plain(one): one.code for one in EXITS if one.is_family} | {"EXCEPTION": 0x40}
    macros = re.findall(r"#define EXIT_(\w+)(\(n\))? \(?(0x\w+)", PROGRAM)
    assert len(macros) == PROGRAM.count("#define EXIT_")
    for name, numbered, code in macros:
        wanted = families[name] if numbered else codes[ABBREVIATED.get(name, name)]
        assert int(code, 16) == wanted, name


VECTORS = {
    **{"#DE": 0, "#DB": 1, "#BP": 3, "#OF": 4, "#BR": 5, "#UD": 6, "#NM": 7, "#DF": 8},
    **{"#TS": 10, "#NP": 11, "#SS": 12, "#GP": 13, "#PF": 14, "#MF": 16, "#AC": 17},
    **{"#MC": 18, "#XF": 19, "#CP": 21, "#SX": 30},
}
"""AMD manual volume 2, table 8-1."""


def test_an_exception_has_the_code_of_its_vector() -> None:
    exceptions = [one for one in EXITS if plain(one) == "EXCEPTION"]
    assert {one.meaning: one.code - 0x40 for one in exceptions} == VECTORS
    assert {one.name for one in exceptions} == {f"VMEXIT_EXCP[{one}]" for one in VECTORS.values()}


def test_a_family_is_numbered_by_its_registers() -> None:
    assert [one.is_family for one in EXITS] == ["[0-15]" in one.name for one in EXITS]


def test_no_code_is_of_two_kinds() -> None:
    codes = [code for one in EXITS for code in range(one.code, one.last + 1)]
    assert len(codes) == len(set(codes))


VMCB = 0x5000


def exits(*codes: int) -> History:
    """A clean run of an L2 that makes these."""
    history = run()
    for serial, at in ((1, VMCB), (2, VMCB + 0x4000), (3, 0x20000), (4, 0x30000)):
        history.allocate(serial, at, 0x3000)
    history.allocate_room().bind_whole(1, VMCB)
    for code in codes:
        history.add(Type.VMRUN, serial=1, physical=VMCB)
        history.add(Type.VMEXIT, serial=1, detail=code)
    history.add(Type.UNBIND, serial=1)
    for serial, at in ((1, VMCB), (2, VMCB + 0x4000), (3, 0x20000), (4, 0x30000)):
        history.release(serial, at, 0x3000)
    return history.release_room()


def lacks(history: History, text: str, kind: int = 0) -> History:
    history.text(Type.UNSUPPORTED, text)
    history.rows[-1]["detail"] = kind
    return history


def result(name: str, history: History, wanted: Verdict, *, over: bool = True) -> Result:
    if over:
        history.end().settle()
    records, memory = history.records(), history.memory()
    judgement = judge(records, memory, (), Account.AGREE)
    assert judgement.verdict is wanted, judgement.reasons or judgement.findings
    evidence = Evidence(records, memory)
    scenario = Scenario(0, name, "SVM", "Rust", "svm:part", f"The lesson of {name}.", ())
    as_expected = wanted in (Verdict.CLEAN, Verdict.UNSUPPORTED)
    return Result(scenario, judgement, as_expected, {}, 0.1, evidence=evidence)


def kind(found: Survey, name: str) -> Kind:
    (one,) = (one for one in found.kinds if one.exit.name == f"VMEXIT_{name}")
    return one


CLEAN = result("svm/exit/some", exits(0x00, 0x08, 0x72, 0x72, 0x4E), Verdict.CLEAN)


def test_findings_that_a_scenario_declares_do_not_spoil_what_it_shows() -> None:
    leaking = exits(0x78).allocate(5, 0x90000)
    declared = result("svm/invalid/iopm_above", leaking, Verdict.FAULTY)
    assert kind(survey([declared]), "HLT").status is Status.NOT_PROVEN
    assert survey([declared]).rules[0].status is Enforced.UNKNOWN
    declared = replace(declared, as_expected=True)
    assert kind(survey([declared]), "HLT").status is Status.SEEN
    assert survey([declared]).rules[0].status is Enforced.YES
    assert survey([declared]).unclear == ()


def test_what_a_clean_scenario_made_is_seen() -> None:
    found = survey([CLEAN])
    assert {one.exit.name for one in found.seen} == {
        "VMEXIT_CR[0-15]_READ",
        "VMEXIT_CPUID",
        "VMEXIT_EXCP[14]",
    }
    assert kind(found, "CR[0-15]_READ").codes == (0, 8)
    assert kind(found, "CPUID").scenarios == ("svm/exit/some",)
    other = kind(found, "HLT")
    assert (other.status, other.reason) == (Status.NOT_TRIED, "no scenario makes it")
    assert (found.unclear, found.unknown) == ((), ())


def test_what_the_guest_could_not_have_is_unsupported_for_its_reason() -> None:
    # 0: no kind. The read of CR0 is code 0, and told as 1.
    lacking = lacks(lacks(exits(0x81), "no INVD", 0x76 + 1), "no CR0", 0x00 + 1)
    found = survey([result("svm/exit/invd", lacking, Verdict.UNSUPPORTED)])
    assert [one.exit.name for one in found.kinds if one.status is Status.UNSUPPORTED] == [
        "VMEXIT_CR[0-15]_READ",
        "VMEXIT_INVD",
    ]
    assert kind(found, "INVD").reason == "no INVD"
    # What it made by the way proves nothing.
    assert kind(found, "VMMCALL").status is Status.NOT_TRIED
    assert found.unclear == ()


def test_what_is_seen_stays_seen_whatever_is_lacking_beside_it() -> None:
    lacking = result("svm/exit/cr8", lacks(run(), "no CR8", 0x08 + 1), Verdict.UNSUPPORTED)
    one = kind(survey([CLEAN, lacking]), "CR[0-15]_READ")
    assert (one.status, one.reason) == (Status.SEEN, "no CR8")


def test_a_run_that_is_not_clean_proves_nothing_and_is_named() -> None:
    lost = result("svm/exit/lost", exits(0x78), Verdict.INCOMPLETE, over=False)
    silent = result("svm/exit/silent", lacks(run(), "SVM"), Verdict.UNSUPPORTED)
    found = survey([lost, silent])
    one = kind(found, "HLT")
    assert (one.status, one.reason) == (Status.NOT_PROVEN, "only in svm/exit/lost, not as expected")
    assert kind(found, "CPUID").reason == "no scenario that ran well makes it"
    assert [name for name, _ in found.unclear] == ["svm/exit/lost", "svm/exit/silent"]


def test_a_code_that_no_manual_has_is_told() -> None:
    assert survey([result("svm/odd", exits(0x72, 0x12345), Verdict.CLEAN)]).unknown == (0x12345,)


def test_a_consistency_rule_is_enforced_when_its_scenario_is_clean() -> None:
    invalid = 0xFFFFFFFF
    found = survey(
        [
            CLEAN,
            result("svm/invalid/asid", exits(invalid), Verdict.CLEAN),
            result("svm/invalid/dr6", lacks(exits(0x81), "DR6 is taken"), Verdict.UNSUPPORTED),
            result("svm/invalid/efer", exits(invalid), Verdict.INCOMPLETE, over=False),
        ]
    )
    assert [(one.scenario, one.status) for one in found.rules] == [
        ("svm/invalid/asid", Enforced.YES),
        ("svm/invalid/dr6", Enforced.NO),
        ("svm/invalid/efer", Enforced.UNKNOWN),
    ]
    assert found.rules[1].reason == "DR6 is taken"
    assert found.rules[0].text == "The lesson of svm/invalid/asid."
    assert kind(found, "INVALID").status is Status.SEEN
    assert [name for name, _ in found.unclear] == ["svm/invalid/efer"]


RULE = result("svm/invalid/asid", exits(0xFFFFFFFF), Verdict.CLEAN)


@pytest.mark.parametrize("results", [[], [CLEAN], [CLEAN, RULE]])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_tables_fit_and_need_no_colour(results: list[Result], width: int) -> None:
    output = io.StringIO()
    print_survey(Console(file=output, width=width, highlight=False), HOST, survey(results))
    text = output.getvalue()
    assert "\x1b" not in text
    assert all(len(line) <= width for line in text.splitlines())
    assert "[0-15]" in text.replace("\n", "") or width == 40


def test_the_document_says_what_the_table_says() -> None:
    results = [CLEAN, RULE]
    document = json.loads(json.dumps(survey_document(HOST, survey(results), results)))
    assert document["schema"] == "freeonce/svm/1"
    assert document["ok"] is True
    assert document["label"] == "X, QEMU x"
    by_name = {one["name"]: one for one in document["exits"]}
    assert by_name["VMEXIT_CR[0-15]_READ"]["text"] == "seen 0, 8"
    assert by_name["VMEXIT_INVALID"]["hex"] == "-1"
    assert document["rules"][0]["text"] == "enforced"
    assert survey_document(HOST, survey([]), [])["ok"] is False
