"""What `make soak` takes for wrong, and what for flat."""

import os
import subprocess
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from freeonce.audit.model import Rule, Verdict
from freeonce.errors import Loss
from tests.soak.mix import MIX, Due, wrong
from tests.soak.sample import KINDS, MIB, Place, courses, sample
from tests.soak.soak import Soaked, page
from tests.unit.history import run as begun
from tests.unit.results import result

NAMES = [one.name for one in KINDS]
GUESTS, EVERY = 10_000, 100


def flat_when(name: str, count: Callable[[int], int]) -> bool:
    """Whether a run in which this kind goes so, by guests begun, is flat."""
    samples = []
    for at in range(EVERY, GUESTS + 1, EVERY):
        counts = array("q", [10] * len(KINDS))
        counts[NAMES.index(name)] = count(at)
        samples.append((at, counts))
    found = {one.kind.name: one.flat for one in courses(samples)}
    assert all(flat for other, flat in found.items() if other != name)
    return found[name]


@pytest.mark.parametrize(
    ("name", "count", "flat"),
    [
        ("open descriptors", lambda at: 9, True),
        ("open descriptors", lambda at: 7 + (at > 1000) * 2, True),
        ("open descriptors", lambda at: 9 + at // 5000, False),
        ("children", lambda at: at // 5000, False),
        ("guests' folders", lambda at: at // 100, False),
        ("memory blocks of Python", lambda at: 200_000 + at % 700, True),
        ("memory blocks of Python", lambda at: 200_000 + min(at, 2000) * 10, True),
        # The least that a guest can leave: one object.
        ("memory blocks of Python", lambda at: 200_000 + at, False),
        ("memory, MiB (RssAnon)", lambda at: 40 * MIB + (at // EVERY % 2) * MIB, True),
        ("memory, MiB (RssAnon)", lambda at: 40 * MIB + at * 1024, False),
    ],
)
def test_what_grows_with_guests_is_not_flat(
    name: str, count: Callable[[int], int], flat: bool
) -> None:
    assert flat_when(name, count) is flat


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("memory blocks of Python", 4000),
        ("mappings", 40),
        ("memory, MiB (RssAnon)", 4 * MIB),
    ],
)
def test_a_library_that_is_loaded_late_is_no_trend_of_few_guests(name: str, library: int) -> None:
    def samples(most: int) -> "list[tuple[int, array[int]]]":
        every = most // 8
        found = []
        for at in range(every, most + 1, every):
            counts = array("q", [10] * len(KINDS))
            counts[NAMES.index(name)] = 200_000 + (at > most // 2) * library
            found.append((at, counts))
        return found

    assert all(one.flat for one in courses(samples(40)))
    assert not all(one.flat for one in courses(samples(2000)))


def test_a_sample_sees_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.soak.sample.SETTLED_SECONDS", 0.1)
    place = Place(tmp_path / "guests", tmp_path / "templates", "mark")
    place.folders.mkdir()
    place.templates.mkdir()
    before = sample(place)
    (place.folders / "one").mkdir()
    (place.templates / "freeonce-0123456789abcdef").mkdir()
    read, write = os.pipe()
    ended = subprocess.Popen(["true"])
    child = subprocess.Popen(["sleep", "60"], env={**os.environ, "FREEONCE_DEATH": "mark"})
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    try:
        after = sample(place)
    finally:
        child.kill()
        child.wait()
        ended.wait()
        os.close(read)
        os.close(write)
    grown = dict(zip(NAMES, (b - a for a, b in zip(before, after, strict=True)), strict=True))
    assert grown["open descriptors"] == 2
    assert grown["children"] == 2
    assert grown["of these zombies"] == 1
    assert grown["processes with its mark"] == 1
    assert grown["guests' folders"] == 1
    assert grown["in the templates' place"] == grown["of these half templates"] == 1


def test_every_rule_is_in_the_mix() -> None:
    assert {rule for due in MIX.values() for rule, _ in due.found} == set(Rule)
    assert {due.verdict for due in MIX.values()} >= {Verdict.CLEAN, Verdict.FAULTY}


def test_a_verdict_is_held_against_the_definition_and_the_declaration() -> None:
    clean = result("c/pool", begun().end().settle())
    assert clean.judgement.verdict is Verdict.CLEAN
    assert wrong(clean, Due()) is None
    assert "clean, not faulty, leak (pool)" in str(wrong(clean, Due(((Rule.LEAK, "pool"),))))
    assert wrong(replace(clean, as_expected=False), Due()) is not None
    assert "not incomplete, guest lost: panic" in str(wrong(clean, Due(loss=Loss.PANIC)))


def test_what_was_wrong_and_that_it_was_ended_early_are_told() -> None:
    soaked = Soaked(100, begun=3, wrong=["c/pool, the 3th: faulty"], incomplete=["c/l2: lost"])
    soaked.done["c/pool"] = 3
    text = page(soaked, "Last run: now.", "| false | 7 |\n\n## What was found\n\nBy hand.\n")
    assert "Last run: now. It was ended before all was done." in text
    assert "| false | 1 |" in text
    assert "- false: c/pool, the 3th: faulty" in text
    assert "- incomplete: c/l2: lost" in text
    assert text.endswith("\n\n## What was found\n\nBy hand.\n")
    assert "| false | 7 |" not in text
    assert not soaked.well
