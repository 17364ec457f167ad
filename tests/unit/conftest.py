"""Unit tests pass on whatever machine, whatever patience it asks for."""

import os

import pytest

from freeonce.deadline import PATIENCE_VARIABLE


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another than 1, so that who forgets about it finds out everywhere."""
    monkeypatch.setenv(PATIENCE_VARIABLE, os.environ.get(PATIENCE_VARIABLE) or "1.5")


@pytest.fixture
def usual_speed(patience: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test that names seconds: they are those of a clock."""
    monkeypatch.delenv(PATIENCE_VARIABLE)
