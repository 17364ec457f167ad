"""A thread ends with its block, also where a signal ends us as it begins."""

import os
import signal
import threading
from types import FrameType
from typing import Any

import pytest

from freeonce.beside import beside, unparted


class _Hit(Exception):
    """What a signal raises."""


@pytest.fixture
def _signals(monkeypatch: pytest.MonkeyPatch) -> Any:
    def hit(_number: int, _frame: FrameType | None) -> None:
        raise _Hit

    before = signal.signal(signal.SIGHUP, hit)
    yield
    signal.signal(signal.SIGHUP, before)


def test_it_ends_with_the_block() -> None:
    over, done = threading.Event(), list[str]()

    def work() -> None:
        over.wait()
        done.append("ended")

    with beside(work, over.set):
        assert done == []
    assert done == ["ended"]


@pytest.mark.usefixtures("_signals")
def test_a_signal_while_it_begins_leaves_no_thread_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    over, done = threading.Event(), list[str]()
    start = threading.Thread.start

    def struck(thread: threading.Thread) -> None:
        start(thread)
        os.kill(os.getpid(), signal.SIGHUP)

    def work() -> None:
        over.wait()
        done.append("ended")

    monkeypatch.setattr(threading.Thread, "start", struck)
    with pytest.raises(_Hit), beside(work, over.set):
        pytest.fail("the signal came before")
    assert done == ["ended"]


@pytest.mark.usefixtures("_signals")
def test_a_signal_waits_for_what_it_must_not_part() -> None:
    done = list[str]()

    def work() -> None:
        with unparted():
            os.kill(os.getpid(), signal.SIGHUP)
            done.append("all of it")

    with pytest.raises(_Hit):
        work()
    assert done == ["all of it"]
