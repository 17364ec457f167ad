"""What is seen while a campaign runs: how far it is, and the verdicts as they come."""

import io
import re
import time

import pytest
from rich.console import Console

from freeonce.audit.model import Judgement, Verdict
from freeonce.campaign import Result
from freeonce.cli import progress
from freeonce.evidence.scenarios import Scenario


def ended(name: str, verdict: Verdict, as_expected: bool = True) -> Result:
    scenario = Scenario(0, name, "Section", "C", None, "A lesson.", ())
    return Result(scenario, Judgement(verdict, (), (), 0, 0, 0, 0, {}), as_expected, {}, 0.1)


CLEAN = ended("c/pool", Verdict.CLEAN)
PLANTED = ended("fault/leak/pool/c", Verdict.FAULTY)
SURPRISE = ended("rust/pool", Verdict.INCOMPLETE, as_expected=False)


def shown(console: Console, *results: Result, running: str = "c/pool") -> None:
    with progress._shown(console) as one:
        one.chosen(3, 0, 3)
        for result in results:
            one.starting(running)
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


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_terminal_shows_the_count_and_where_there_is_room_the_verdicts(width: int) -> None:
    console = terminal(width)
    name = "fault/invalid-free/contiguous/rust/never-allocated"
    shown(console, CLEAN, PLANTED, PLANTED, running=name)
    assert re.search(r"never-allocated .* 3/3 \d:\d\d:\d\d", said(console))
    assert ("1 clean, 2 faulty" in said(console)) == (width >= 80)
    # Nothing of a line went to the next one.
    assert all(len(line) <= width for line in re.split(r"\x1b\[\S*?[A-Za-z]|[\r\n]", said(console)))


def test_a_log_tells_the_first_verdict_at_once_and_the_rest_now_and_then() -> None:
    console = Console(file=io.StringIO(), width=100)
    shown(console, CLEAN, PLANTED)
    (line,) = said(console).splitlines()[2:]
    assert re.fullmatch(r"1 of 3 after \d s: 1 clean", line)


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
