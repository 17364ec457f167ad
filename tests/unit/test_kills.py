"""What `make kills` keeps between its parts, when it kills, and what it tells."""

from collections import Counter
from pathlib import Path

import pytest

from tests.kills.campaign import Killed, before, due, keep, page, strange, table


def test_parts_go_on_where_they_were_ended(tmp_path: Path) -> None:
    asked = Killed(1000, 100, 50)
    assert before(tmp_path, asked) == asked
    found = Killed(1000, 100, 50, Counter(guest=3), Counter(client=2), Counter({"-9": 1}), 7.0, 1)
    keep(tmp_path, found)
    again = before(tmp_path, asked)
    assert again == found
    assert again.kills.total() == 3
    for other in (Killed(1000, 100, 60), Killed(1000, 100, 50, local=True)):
        with pytest.raises(SystemExit):
            before(tmp_path, other)


def test_half_of_the_kills_are_among_the_guests() -> None:
    found = Killed(1000, 100, 50)
    moments = []
    for _ in range(50):
        moments.append(due(found))
        found.kills["guest"] += 1
    assert moments == sorted(moments)
    assert len([one for one in moments if one < 100]) == 25
    assert moments[-1] < 1000


def test_what_was_wrong_is_told() -> None:
    found = Killed(10, 5, 2, Counter(guest=2), wrong=["a result is there twice"])
    text = table(found, "Last run: now.")
    assert "| guest | 2 |" in text
    assert "| all | 2 of 2 |" in text
    assert "- a result is there twice" in text
    assert "| scheduler | 0 |" in text


def test_without_a_scheduler_none_is_told_of() -> None:
    text = page([(Killed(10, 5, 2, local=True), "Last run: now.")])
    assert "## On this machine" in text
    assert "| worker | 0 |" in text
    assert "| scheduler |" not in text


def verdicts(clean: int, lost: int, audits: int, **other: int) -> Counter[str]:
    named = {"scenario: clean": clean, "scenario: incomplete": lost, "audit: incomplete": audits}
    return Counter({one: count for one, count in {**named, **other}.items() if count})


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (verdicts(4, 0, 5), ""),
        (verdicts(3, 1, 5), ""),
        (verdicts(2, 2, 5), "2 scenarios are incomplete, of 3 kills"),
        (verdicts(4, 0, 4), "there are 8 results of 9 tasks"),
        (verdicts(5, 0, 4), "a result is there twice"),
        (verdicts(3, 0, 6), "a result is there twice"),
        (verdicts(3, 0, 5, **{"scenario: faulty": 1}), "1 results are scenario: faulty"),
        (verdicts(4, 0, 4, **{"audit: clean": 1}), "1 results are audit: clean"),
    ],
)
def test_results_that_no_kill_explains_are_told(said: Counter[str], wrong: str) -> None:
    found = Killed(9, 4, 3, Counter(guest=1, worker=2), over=True)
    found.results, found.verdicts = said.total(), said
    assert list(strange(found)) == ([wrong] if wrong else [])
