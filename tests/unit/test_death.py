"""What the scenes of `make death` rest on."""

import itertools
import random
import signal
from pathlib import Path

import pytest

from freeonce.machine.folder import kept_folder
from tests.death import playing as playing_module
from tests.death.kept import FOUND, Kept, page, read
from tests.death.life import Life, Spans, kind_of
from tests.death.playing import Playing
from tests.death.scenes import SCENES, Play


def test_an_interrupt_reaches_a_run_that_was_begun_in_the_background(tmp_path: Path) -> None:
    """A shell has it ignored there: 18 of 18 moments were too late, and the table said no more."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        life = Life(tmp_path, tmp_path / "templates", ("explain", "leak"))
    finally:
        signal.signal(signal.SIGINT, before)
    struck = life.strike("harness", signal.SIGINT, random.Random(1))
    life.end()
    assert struck is not None
    assert life.left() == []


def test_a_keeper_is_known_for_one(tmp_path: Path) -> None:
    """When its first line became another none was: no keeper was killed, and nothing said so."""
    with kept_folder(tmp_path):
        mine = Path("/proc/self/task").glob("*/children")
        kinds = [kind_of(int(pid)) for one in mine for pid in one.read_text().split()]
    assert kinds.count("keeper") == 1


SCENE = SCENES[3]


@pytest.fixture
def playing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Playing:
    """Plays of lives of 10 s, of which each third is over after 5."""
    tries = itertools.count()

    def play(*words: object) -> Play:
        *_, chance, seconds = words
        assert isinstance(chance, random.Random)
        assert isinstance(seconds, float)
        moment = chance.uniform(0, seconds)
        return Play(None if moment > 5 and next(tries) % 3 == 0 else moment, ())

    monkeypatch.setattr(playing_module, "play", play)
    monkeypatch.setattr(playing_module, "watch", lambda *_: (Spans({"harness": 10.0}), []))
    return Playing(Kept("v", 1), [SCENE], tmp_path, 50)


def test_as_many_are_played_as_came_in_time(playing: Playing) -> None:
    playing.lead()
    row = playing.kept.row(SCENE.name)
    assert playing.whole
    assert len(row.moments) == 50
    assert row.tries == 50 + row.late
    # From the begin of a life to its end.
    assert min(row.moments) < 1
    assert max(row.moments) > 5


def test_what_never_comes_in_time_is_not_tried_for_ever(
    playing: Playing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playing_module, "play", lambda *_: Play(None, ()))
    playing.lead()
    assert not playing.whole
    assert playing.kept.row(SCENE.name).late == 51


def test_nothing_is_played_of_another_harness(playing: Playing) -> None:
    playing.same = lambda: False
    playing.lead()
    assert playing.over.is_set()
    assert playing.kept.row(SCENE.name).tries == 0


def test_it_goes_on_where_it_was_ended_with_the_same_harness(tmp_path: Path) -> None:
    kept = Kept("v", 7, 3.5)
    kept.row("harness killed").add(1, 0.25, ("status 0",))
    kept.row("harness killed").add(2, None, ())
    kept.write(tmp_path / "kept.json")
    assert read(tmp_path / "kept.json", "v", 8) == kept
    assert read(tmp_path / "kept.json", "w", 8) == Kept("w", 8)


def test_the_page_counts_what_came_in_time_and_keeps_what_was_found() -> None:
    kept = Kept("v", 7)
    for number in range(1, 6):
        kept.row("harness killed").add(number, number / 10, ())
    kept.row("harness killed").add(6, None, ("left behind: folder",))
    text = page(kept, "Last run: now.", f"before\n{FOUND}\n\nBy hand.\n")
    assert "| harness killed | 5 | 0.10, 0.20, 0.30, 0.40, 0.50 | 1 | 1 |" in text
    assert "- harness killed: try 6, over before: left behind: folder\n" in text
    assert text.endswith(f"{FOUND}\n\nBy hand.\n")
    assert "before" not in text.splitlines()
