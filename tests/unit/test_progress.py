"""What is seen while a campaign runs: how far it is, and the verdicts as they come."""

import io
import re
import time

import pytest
from rich.console import Console

from freeonce.audit.model import Judgement, Verdict
from freeonce.audit.result import Result
from freeonce.cli import progress
from freeonce.evidence.scenarios import Scenario


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the tests are run in: rich asks the environment what a terminal can do."""
    monkeypatch.setenv("TERM", "xterm")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


def ended(name: str, verdict: Verdict, as_expected: bool = True) -> Result:
    scenario = Scenario(0, name, "Section", "C", None, "A lesson.", ())
    return Result(scenario, Judgement(verdict, (), (), 0, 0, 0, 0, {}), as_expected, {}, 0.1)


CLEAN = ended("c/pool", Verdict.CLEAN)
PLANTED = ended("fault/leak/pool/c", Verdict.FAULTY)
SURPRISE = ended("rust/pool", Verdict.INCOMPLETE, as_expected=False)


def shown(console: Console, *results: Result) -> None:
    with progress._shown(console) as one:
        one.chosen(len(results), 0, len(results))
        for result in results:
            one.done(result)


def terminal(width: int) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_name_that_runs_leaves_room_for_the_count_in_a_narrow_terminal() -> None:
    console = terminal(60)
    with progress._shown(console) as one:
        one.chosen(94, 0, 94)
        one.starting("fault/invalid-free/contiguous/rust/never-allocated")
    assert re.search(r"…\S*never-allocated .* 0/94 \d:\d\d:\d\d", said(console))


WHOLE = [CLEAN] * 82 + [PLANTED] * 132 + [ended("svm/x", Verdict.UNSUPPORTED)] * 15
"""As many as a whole run has, and what is told of them."""
TOLD = "82 clean, 132 faulty, 15 unsupported"


@pytest.mark.parametrize(
    ("width", "results", "told"),
    [
        (140, WHOLE, TOLD),
        (80, WHOLE, TOLD),
        (60, [CLEAN, PLANTED], "1 clean, 1 faulty"),
        (60, WHOLE, ""),
        (80, [*WHOLE, SURPRISE], ""),
    ],
)
def test_a_terminal_shows_the_count_and_where_there_is_room_the_verdicts(
    width: int, results: list[Result], told: str
) -> None:
    console = terminal(width)
    with progress._shown(console) as one:
        one.chosen(len(results), 0, len(results))
        one.starting("fault/invalid-free/contiguous/rust/never-allocated")
        for result in results:
            one.done(result)
    # A line that is drawn again begins with a return.
    last = re.findall(r"\S*allocated [^\r\n]*", said(console))[-1]
    count = rf"{len(results)}/{len(results)}"
    assert re.fullmatch(rf"\S*allocated \S* {count} \d:\d\d:\d\d {told}\s*", last)


def test_a_log_tells_the_first_verdict_at_once_and_the_rest_now_and_then() -> None:
    console = Console(file=io.StringIO(), width=100)
    shown(console, CLEAN, PLANTED)
    (line,) = said(console).splitlines()[2:]
    assert re.fullmatch(r"1 of 2 after \d s: 1 clean", line)


def test_a_log_tells_all_verdicts_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    console = Console(file=io.StringIO(), width=100)
    with progress._shown(console) as one:
        one.chosen(2, 1, 3)
        one.done(CLEAN)
        one.done(PLANTED)
        now += progress.TELL_SECONDS
        one.done(CLEAN)
    assert said(console).splitlines()[1:] == [
        "ready after 0.0 s, running 2 scenarios and 1 planted faults",
        "1 of 3 after 0 s: 1 clean",
        "3 of 3 after 10 s: 2 clean, 1 faulty",
    ]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_is_not_as_expected_is_named_at_once(is_terminal: bool) -> None:
    console = terminal(100) if is_terminal else Console(file=io.StringIO(), width=100)
    shown(console, SURPRISE)
    assert "rust/pool: incomplete, not expected" in said(console)
