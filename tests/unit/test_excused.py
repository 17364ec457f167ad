"""Findings that people judged: how they are named, suppressed, and held against a baseline."""

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from freeonce.audit.attempts import Where
from freeonce.audit.points import Outcome, Point, Points, point
from freeonce.errors import Loss, UsageError
from freeonce.evidence.ledger import Flag, Type
from freeonce.report.excused import (
    IN_BASELINE,
    NONE,
    Excuses,
    Suppression,
    parse_baseline,
    parse_suppressions,
)
from freeonce.report.html import html_text
from freeonce.report.identity import FAILURE, PLAIN, named, of_point, plain
from freeonce.report.junit import junit_text
from freeonce.report.life import audit_document, print_excused, tell
from freeonce.report.sarif import sarif_text
from freeonce.subject.places import Frame
from tests.unit.history import run
from tests.unit.results import HOST, result
from tests.unit.test_audit_report import TRACES, at, told

LOSE = Suppression("leak", "a debt", family="slab", function="lose")
KIND = "pool"
"""Of the allocations in the history that reports are tested with."""


def stack(*functions: str, offset: int = 4, line: int | None = None) -> list[Frame]:
    return [Frame(one, offset, "nbd", "nbd.c" if line else None, line) for one in functions]


def identity(
    *frames: Frame, rule: str = "leak", life: str = "nbd", failed: list[Frame] | None = None
) -> str:
    return named(life, rule, "slab", frames, failed).identity


def test_only_what_a_compiler_adds_is_cut_from_a_name() -> None:
    names = ("probe.isra.0.cold", "probe.part.1.constprop.2", "probe.llvm.123", "a.b", "a.b.cold")
    assert [plain(one) for one in names] == ["probe"] * 3 + ["a.b"] * 2


def test_an_identity_is_of_the_functions_and_of_nothing_that_a_build_moves() -> None:
    plain = identity(*stack("probe", "nbd_init"))
    assert plain == identity(*stack("probe", "nbd_init", offset=9, line=70))
    assert plain == identity(*stack("probe.constprop.0", "nbd_init.cold"))
    # Known only with debug info, and a function of another kernel's.
    inlined, kernel = Frame("kzalloc", None, "nbd", "slab.h", 7), Frame("do_one_initcall", 0x56)
    assert plain == identity(inlined, *stack("probe", "nbd_init"), kernel)
    others = [
        identity(*stack("probe")),
        identity(*stack("nbd_init", "probe")),
        identity(*stack("probe", "nbd_init"), rule="double-free"),
        identity(kernel),
        identity(kernel, life="brd"),
        identity(*stack("probe", "nbd_init"), failed=stack("other")),
        identity(*stack("probe", "nbd_init"), failed=stack("another")),
    ]
    assert len({plain, *others}) == 1 + len(others)


def test_what_is_suppressed_is_as_expected_faulty_and_told() -> None:
    every = tuple(
        Suppression(rule, f"why {number}", function=function)
        for number, (rule, function) in enumerate(
            (("null-free", "leaky_exit"), ("leak", "lose"), ("leak", "other"))
        )
    )
    plain, some, all_of_it = told(), told(excuses=Excuses(every[1:])), told(excuses=Excuses(every))
    assert [one.ok for one in (plain, some, all_of_it)] == [False, False, True]
    assert all_of_it.life.result.judgement.verdict == "faulty"
    document: Any = audit_document(HOST, [some], 1.0)
    findings = document["lives"][0]["findings"]
    assert [one["suppressed"] for one in findings] == [None, "why 1", "why 2"]
    assert len({one["identity"] for one in findings}) == 3
    console = Console(file=io.StringIO(), width=80)
    print_excused(console, some)
    assert "suppressed: 2 findings, 0 failure points" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_suppression_that_nothing_came_of_is_told() -> None:
    never = Suppression("leak", "it was mended", module="nbd")
    one = told(excuses=Excuses((never,)))
    assert one.unused == (never,)
    console = Console(file=io.StringIO(), width=80)
    print_excused(console, one)
    assert "suppression not used: leak in nbd: it was mended" in console.file.getvalue()  # type: ignore[attr-defined]
    assert not told(excuses=Excuses((replace(never, module="leaky"),))).unused


@pytest.mark.parametrize(
    ("changed", "covers"),
    [
        ({}, True),
        ({"family": None}, True),
        ({"module": "leaky"}, True),
        ({"function": None, "module": "leaky"}, True),
        ({"rule": "double-free"}, False),
        ({"family": "pages"}, False),
        ({"module": "nbd"}, False),
        ({"function": "lose2"}, False),
        ({"when": PLAIN}, True),
        ({"when": FAILURE}, False),
        ({"failed": "lose"}, False),
    ],
)
def test_a_suppression_covers_what_it_names(changed: dict[str, Any], covers: bool) -> None:
    one = named("x", "leak", "slab", [Frame("lose.isra.0", 0x12, "leaky")])
    assert replace(LOSE, **changed).covers(one) is covers


def test_with_a_baseline_only_what_is_new_counts() -> None:
    before = json.dumps(audit_document(HOST, [told()], 1.0))
    known = parse_baseline(before, "before.json")
    again = told(excuses=Excuses(baseline=known))
    assert again.ok
    assert set(again.suppressed.values()) == {IN_BASELINE}
    (first, *_) = sorted(known)
    assert not told(excuses=Excuses(baseline=known - {first})).ok


@pytest.mark.parametrize("text", ["", "[" * 100_000, "[]", "{}", '{"schema": "freeonce/run/1"}'])
def test_what_is_no_report_is_no_baseline(text: str) -> None:
    with pytest.raises(UsageError, match=r"before\.json is no"):
        parse_baseline(text, "before.json")


HEAD = '[[suppress]]\nrule = "leak"\n'


def test_a_file_of_suppressions_is_read() -> None:
    text = HEAD + 'family = "slab"\nfunction = "lose"\nbecause = "a debt"\n'
    assert parse_suppressions(text, "x.toml") == (LOSE,)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[suppress]", "is no TOML"),
        ("[[finding]]", "unknown: finding"),
        ("[suppress]", "two brackets"),
        ("suppress = [1]", "two brackets"),
        (HEAD + 'function = "f"\n', "because is missing"),
        (HEAD + 'function = "f"\nbecause = " "\n', "because is no text"),
        (HEAD + 'because = "x"\n', "name a module or a function"),
        (HEAD + 'function = "f"\nbecause = "x"\nline = 3\n', "'line' is unknown"),
        (HEAD + 'function = "f"\nbecause = "x"\nfamily = "slob"\n', "family is 'slob'"),
        ('[[suppress]]\nrule = "handled"\nmodule = "m"\nbecause = "x"', "rule is 'handled'"),
        ('[[suppress]]\nrule = "unknown"\nmodule = "m"\nbecause = "x"', "rule is 'unknown'"),
        ('[[suppress]]\nrule = "leaked"\nmodule = "m"\nbecause = "x"', "rule is 'leaked'"),
        (HEAD + 'function = "f"\nbecause = "x"\nwhen = "ever"\n', "when is 'ever'"),
        ("x = " + "[" * 100_000, "is no TOML"),
        ('[[suppress]]\nmodule = "m"\nbecause = "x"', "rule is missing"),
    ],
)
def test_a_file_that_says_too_little_or_wrong_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_suppressions(text, "x.toml")


def crashed(loss: Loss = Loss.OOPS, site: int = 2, leak: int = 0) -> Point:
    """A point that was lost; `leak`: with a finding, and its stack."""
    told = run().allocate(1, 0x1000)
    at(told, Type.ALLOCATE, leak)
    one = result("leaky", (told if leak else run()).end().settle())
    return replace(point(Where(1), replace(one, loss=loss)), site=site)


def rules(led: Point, excuses: Excuses) -> list[tuple[str, str]]:
    return [(one.rule, excuses.why(one)) for one in of_point("leaky", led, TRACES)]


def test_a_lost_point_and_each_finding_in_it_are_judged_for_themselves() -> None:
    lost = Suppression("crashed", "known", function="other")
    leak = Suppression("leak", "a debt", function="lose", when=FAILURE, failed="other")
    led = crashed(leak=1)
    assert rules(led, Excuses((lost,))) == [("crashed", "known"), ("leak", "")]
    every = of_point("leaky", led, TRACES)
    assert Excuses((lost,)).all(every) == ""
    assert Excuses((lost, leak)).all(every) == "known; a debt"
    assert Excuses((lost, replace(leak, failed="lose"))).all(every) == ""
    assert Excuses((lost, replace(leak, when=PLAIN, failed=None))).all(every) == ""


def test_a_leak_of_one_error_path_excuses_none_of_another_nor_of_plain_life() -> None:
    of_one, of_other = (
        of_point("leaky", crashed(leak=1, site=site), TRACES)[1].identity for site in (2, 3)
    )
    in_plain_life = {one.identity for names in told().named.values() for one in names}
    assert of_one != of_other
    assert not in_plain_life & {of_one, of_other}


@pytest.mark.parametrize(("loss", "site"), [(Loss.QEMU, 2), (Loss.QEMU, 0), (Loss.OOPS, 0)])
def test_what_is_unknown_or_has_no_stack_is_never_excused(loss: Loss, site: int) -> None:
    names = of_point("leaky", crashed(loss, site), TRACES)
    assert [one.identity for one in names] == [""]
    any_function = Suppression(names[0].rule, "x", function=names[0].function)
    assert not Excuses((any_function,), frozenset({""})).all(names)
    named_ones = [{"identity": one.identity} for one in names]
    document = {"schema": "freeonce/audit/1", "named": named_ones}
    assert not parse_baseline(json.dumps(document), "x")


def test_a_failure_point_is_named_by_what_became_of_it_and_suppressed_like_a_finding() -> None:
    led = crashed()
    assert led.outcome is Outcome.CRASHED
    life: Any = told().life
    clean = replace(life, result=result("leaky", run().end().settle()))

    def lived(excuses: Excuses) -> Any:
        return tell(clean, TRACES, (), Points(clean.result, (led,), 1), excuses)

    plain = lived(NONE)
    ((name,),) = (names for one, names in plain.named.items() if isinstance(one, Point))
    assert (name.rule, name.function, name.module) == ("crashed", "other", "leaky")
    assert not plain.bears_failures
    excused = lived(Excuses((Suppression("crashed", "known", function="other"),)))
    assert excused.bears_failures
    document: Any = audit_document(HOST, [excused], 1.0)
    (told_point,) = document["lives"][0]["failures"]["points"]
    assert (told_point["outcome"], told_point["suppressed"]) == ("crashed", "known")
    assert name.identity in parse_baseline(json.dumps(document), "x")


def test_every_report_says_what_was_suppressed_of_failure_points() -> None:
    life: Any = told().life
    plain = result("leaky", run().end().settle())
    leak = run().allocate(1, 0x1000)
    at(leak, Type.ALLOCATE, 1)
    leak.add(Type.ALLOCATE_FAILED, detail=-12 & 0xFFFF_FFFF, flags=int(Flag.INJECTED), site=2)
    leaked = point(Where(2), result("leaky", leak.end().settle()))
    excuses = Excuses(
        (
            Suppression("crashed", "its crash", function="other"),
            Suppression("leak", "its leak", function="lose", when=FAILURE),
        )
    )
    points = Points(plain, (crashed(), leaked), 2)
    one = tell(replace(life, result=plain), TRACES, (), points, excuses)
    assert one.bears_failures
    assert one.points
    results = one.points.results
    page = html_text(HOST, [plain], points=one.points.points)
    (log,) = json.loads(sarif_text(results))["runs"]
    (invocation,) = log["invocations"]
    assert invocation["executionSuccessful"]
    (note,) = invocation["toolExecutionNotifications"]
    assert (note["level"], "suppressed: its crash" in note["message"]["text"]) == ("note", True)
    (finding,) = log["results"]
    assert finding["suppressions"][0]["justification"] == "its leak"
    for report in (junit_text(results), page):
        assert "suppressed: its crash" in report
        assert "suppressed: its leak" in report
