"""An audit that tests assert: never clean without evidence, and what it says in words."""

from types import SimpleNamespace
from typing import cast

import pytest

from freeonce.audit.model import Rule, Verdict
from freeonce.audit.result import Evidence, Result
from freeonce.errors import EvidenceError, GuestLost, UsageError
from freeonce.evidence.ledger import Type
from freeonce.evidence.scenarios import Scenario
from freeonce.guest import Guest
from freeonce.report.places import Everywhere
from freeonce.run.conclude import conclude
from freeonce.run.prepare import Wish
from freeonce.run.task import Options
from freeonce.subject.places import Frame, Place
from freeonce.testing import audited as module
from freeonce.testing.audited import AuditedGuest
from tests.unit.history import run
from tests.unit.results import result

SITE = 0x40
LEAK = run().allocate(1, 0x1000).end().settle()
for row in LEAK.rows:
    if row["type"] == Type.ALLOCATE:
        row["site"] = SITE
RESULTS = {
    "a/clean": result("a/clean", run().allocate(1, 0x1000).release(1, 0x1000).end().settle()),
    "a/leak": result("a/leak", LEAK),
    "a/lacking": result("a/lacking", run().text(Type.UNSUPPORTED, "svm").end().settle()),
    "a/cut": result("a/cut", run().allocate(1, 0x1000)),
}


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> AuditedGuest:
    """It answers with what is written above; `a/cut` leaves it unfit."""

    def one(_: Guest, scenario: Scenario, __: Options) -> tuple[Result, bool]:
        return RESULTS[scenario.name], scenario.name != "a/cut"

    monkeypatch.setattr(module, "run_one", one)
    scenarios = tuple(one.scenario for one in RESULTS.values())
    return AuditedGuest(cast(Guest, SimpleNamespace(scenarios=lambda: scenarios)))


@pytest.mark.parametrize(
    ("names", "verdict"),
    [
        (["a/clean"], Verdict.CLEAN),
        (["a/clean", "a/clean"], Verdict.CLEAN),
        (["a/clean", "a/lacking"], Verdict.UNSUPPORTED),
        (["a/lacking", "a/leak", "a/clean"], Verdict.FAULTY),
        (["a/leak", "a/cut"], Verdict.INCOMPLETE),
    ],
)
def test_an_audit_is_as_bad_as_its_worst_run(
    guest: AuditedGuest, names: list[str], verdict: Verdict
) -> None:
    with guest.audit() as audit:
        for name in names:
            audit.run(name)
    assert audit.verdict is verdict
    assert audit.clean is (verdict is Verdict.CLEAN)


def test_where_nothing_ran_nothing_is_proven(guest: AuditedGuest) -> None:
    with guest.audit() as audit:
        pass
    assert audit.verdict is Verdict.INCOMPLETE
    with pytest.raises(UsageError, match="nothing ran"):
        _ = audit.clean
    with pytest.raises(UsageError, match="nothing ran"):
        _ = audit.findings


def test_incomplete_evidence_has_no_findings_to_count(guest: AuditedGuest) -> None:
    with guest.audit() as audit:
        audit.run("a/cut")
    with pytest.raises(EvidenceError, match=r"a/cut is incomplete\n.*no end of this run"):
        _ = audit.findings


def test_findings_are_those_of_all_runs(guest: AuditedGuest) -> None:
    with guest.audit() as audit:
        audit.run("a/leak")
        audit.run("a/leak")
    assert [finding.rule for finding in audit.findings] == ["leak", "leak"]


def test_a_run_belongs_to_the_audits_that_are_open(guest: AuditedGuest) -> None:
    guest.run("a/leak")
    with guest.audit() as outer:
        guest.run("a/clean")
        with guest.audit() as inner:
            inner.run("a/lacking")
    guest.run("a/leak")
    names = [[one.scenario.name for one in audit.results] for audit in (outer, inner)]
    assert names == [["a/clean", "a/lacking"], ["a/lacking"]]
    with pytest.raises(UsageError, match="audit that is over"):
        inner.run("a/clean")


def test_nothing_runs_in_a_guest_that_is_unfit(guest: AuditedGuest) -> None:
    guest.run("a/cut")
    with pytest.raises(GuestLost, match="a/clean cannot run: the guest is unfit since a/cut"):
        guest.run("a/clean")


def test_a_scenario_is_named_by_its_whole_name(guest: AuditedGuest) -> None:
    with pytest.raises(UsageError, match="did you mean a/leak"):
        guest.run("a/laek")
    with pytest.raises(UsageError, match=r"'a/l\*' names 2 scenarios.*'a/leak'"):
        guest.run("a/l*")


def test_words_are_verdict_findings_places_and_reasons(guest: AuditedGuest) -> None:
    with guest.audit() as audit:
        audit.run("a/clean")
        audit.run("a/leak")
        audit.run("a/lacking")
    assert audit.words().splitlines() == [
        "a/clean is clean",
        "a/leak is faulty",
        "  leak: allocation 1, 64 bytes pool, never released",
        "a/lacking is unsupported",
        "  not on this CPU: svm",
    ]
    assert repr(audit) == "<audit of a/clean, a/leak, a/lacking: faulty>"


def test_words_name_the_line_that_allocated(guest: AuditedGuest) -> None:
    frame = Frame("f", None, "freeonce", "guest/rust/src/scenarios/x.rs", 7)
    places = Everywhere(otherwise={SITE: Place(frame, (frame,))})
    with AuditedGuest(guest.machine, lambda _: places).audit() as audit:
        audit.run("a/leak")
    assert audit.words().endswith("\n    allocated at guest/rust/src/scenarios/x.rs:7")


def test_a_run_that_was_not_heard_is_not_clean(guest: AuditedGuest) -> None:
    scenario = RESULTS["a/clean"].scenario
    with guest.audit() as audit:
        audit.note(conclude(scenario, Evidence(LEAK.records()), 0.0))
    assert not audit.clean
    assert "the memory was not read" in audit.words()


def test_a_modules_life_is_led_when_its_block_ends() -> None:
    wishes: list[Wish] = []

    def lead(wish: Wish) -> tuple[Result, Everywhere]:
        wishes.append(wish)
        return RESULTS["a/leak"], Everywhere()

    guest = AuditedGuest(cast(Guest, SimpleNamespace()), lead=lead)
    with guest.audit_module("build/my.ko", params="size=3", files=["tool:/bin/tool"]) as life:
        life.run("echo 1 >/proc/my")
        life.run("tool")
        assert not wishes
        with pytest.raises(UsageError, match="when the block of audit_module has ended"):
            _ = life.clean
    assert wishes == [
        Wish(
            ("build/my.ko",),
            "size=3",
            commands=("echo 1 >/proc/my", "tool"),
            carried=("tool:/bin/tool",),
        )
    ]
    assert not life.clean
    assert [finding.rule for finding in life.findings] == [Rule.LEAK]
    assert guest.audits == [life]
    with pytest.raises(UsageError, match="too late"):
        life.run("more")


def test_a_block_that_raises_leads_no_life() -> None:
    def lead(_: Wish) -> tuple[Result, Everywhere]:
        raise AssertionError("nobody asked for this life")

    guest = AuditedGuest(cast(Guest, SimpleNamespace()), lead=lead)
    with pytest.raises(ZeroDivisionError), guest.audit_module("my.ko"):
        _ = 1 / 0
    assert not guest.audits
