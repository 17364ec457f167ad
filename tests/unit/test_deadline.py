"""Deadlines, and the patience that a slow machine asks for."""

import pytest

from freeonce.deadline import PATIENCE_VARIABLE, Deadline, patience
from freeonce.errors import UsageError


def test_without_a_word_nothing_is_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PATIENCE_VARIABLE, raising=False)
    assert patience() == 1
    monkeypatch.setenv(PATIENCE_VARIABLE, "")
    assert patience() == 1


def test_every_deadline_is_longer_by_the_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATIENCE_VARIABLE, "2.5")
    deadline = Deadline(100, "x")
    assert deadline.seconds == 250
    assert 200 < deadline.left() <= 250


@pytest.mark.parametrize("text", ["many", "0", "-1", "0.5", "nan", "inf"])
def test_what_is_no_patience_is_usage(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATIENCE_VARIABLE, text)
    with pytest.raises(UsageError, match="must be a number of at least 1"):
        Deadline(1, "x")
