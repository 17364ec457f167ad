"""A thread ends with its block, also where a signal ends us as it begins."""

import threading

import pytest

from freeonce import beside as module
from freeonce.beside import beside


class _Hit(Exception):
    """What a signal raises, wherever we are."""


class _Work:
    """Until it is ended."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.ended = False

    def __call__(self) -> None:
        self.over.wait()
        self.ended = True


def test_it_ends_with_the_block() -> None:
    work = _Work()
    with beside(work, work.over.set):
        assert not work.ended
    assert work.ended


@pytest.mark.parametrize("begins", [True, False])
def test_a_signal_while_it_begins_leaves_no_thread_behind(
    monkeypatch: pytest.MonkeyPatch, begins: bool
) -> None:
    work, start = _Work(), threading.Thread.start

    def struck(thread: threading.Thread) -> None:
        if begins:
            start(thread)
        raise _Hit

    monkeypatch.setattr(threading.Thread, "start", struck)
    monkeypatch.setattr(module, "BEGIN_SECONDS", 5.0 if begins else 0.1)
    with pytest.raises(_Hit), beside(work, work.over.set):
        pytest.fail("the signal came before")
    assert work.ended is begins
