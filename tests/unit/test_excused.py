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
from freeonce.report.excused import (
    IN_BASELINE,
    NONE,
    Excuses,
    Suppression,
    parse_baseline,
    parse_suppressions,
)
from freeonce.report.identity import named
from freeonce.report.life import audit_document, print_excused, tell
from freeonce.subject.places import Frame
from tests.unit.history import run
from tests.unit.results import HOST, result
from tests.unit.test_audit_report import TRACES, told

LOSE = Suppression("leak", "a debt", family="slab", function="lose")
KIND = "pool"
"""Of the allocations in the history that reports are tested with."""


def stack(*functions: str, offset: int = 4, line: int | None = None) -> list[Frame]:
    return [Frame(one, offset, "nbd", "nbd.c" if line else None, line) for one in functions]


def identity(*frames: Frame, rule: str = "leak", life: str = "nbd") -> str:
    return named(life, rule, "slab", frames).identity


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


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "freeonce/run/1"}'])
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
        ('[[suppress]]\nmodule = "m"\nbecause = "x"', "rule is missing"),
    ],
)
def test_a_file_that_says_too_little_or_wrong_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_suppressions(text, "x.toml")


def crashed() -> Point:
    one = result("leaky", run().allocate(1, 0x1000).end().settle())
    led = point(Where(1), replace(one, loss=Loss.OOPS))
    return replace(led, site=2)


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
