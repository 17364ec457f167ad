"""What `make kills` keeps between its parts, when it kills, and what it tells."""

from collections import Counter
from pathlib import Path

import pytest

from tests.kills.campaign import Killed, before, due, keep, table


def test_parts_go_on_where_they_were_ended(tmp_path: Path) -> None:
    asked = Killed(1000, 100, 50)
    assert before(tmp_path, asked) == asked
    found = Killed(1000, 100, 50, Counter(guest=3), Counter(client=2), Counter({"-9": 1}), 7.0, 1)
    keep(tmp_path, found)
    again = before(tmp_path, asked)
    assert again == found
    assert again.kills.total() == 3
    with pytest.raises(SystemExit):
        before(tmp_path, Killed(1000, 100, 60))


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
