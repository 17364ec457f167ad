"""Modules that know nothing of freeonce: each fault found by its rule, nothing found beside it."""

import errno
import os
import tomllib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from freeonce.audit.model import Verdict
from freeonce.errors import Obstacle
from freeonce.run.prepare import Wish
from freeonce.subject.build import build
from tests.guest.lives import (
    TESTS,
    Lived,
    Place,
    check,
    check_whole,
    headers_of,
    lead,
    made_once,
    shared,
)

MODULES = TESTS / "modules"
EXPECTED = tomllib.loads((MODULES / "expected.toml").read_text())
# Its life is that of clean_taker.
LIVES = [name for name in EXPECTED if name != "clean_giver"]
CLEAN_OF = 4
"""Of so many clean lives CI leads one."""


def lives() -> Iterator[object]:
    """All of them. CI leads a part: the first fault of each rule and family, some clean ones."""
    seen: set[tuple[str, str]] = set()
    clean = count()
    for name in LIVES:
        kinds = {(one["rule"], one["family"]) for one in EXPECTED[name]["finds"]}
        led = bool(kinds - seen) if kinds else next(clean) % CLEAN_OF == 0
        seen |= kinds
        yield pytest.param(name, marks=() if led else pytest.mark.long)


@pytest.fixture(scope="session")
def built(place: Place, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with all modules, and with what the compiler warned of."""
    headers = headers_of(place[0])

    def make(into: Path) -> None:
        told = build(MODULES, headers, into)
        (into / "warnings").write_text("\n".join(told.warnings))

    return made_once(shared(tmp_path_factory.getbasetemp(), worker_id), "modules", make)


def test_they_build_without_a_warning(built: Path) -> None:
    assert {file.stem for file in built.glob("modules/*.ko")} == EXPECTED.keys()
    assert (built / "warnings").read_text() == ""


def life_of(name: str, place: Place, built: Path) -> Lived:
    about = EXPECTED[name]
    wish = Wish(
        targets=tuple(str(built / "modules" / f"{one}.ko") for one in about.get("targets", [name])),
        parameters=about.get("params", ""),
        commands=tuple(filter(None, [about.get("exercise")])),
    )
    return lead(*place, wish)


@pytest.mark.parametrize("name", list(lives()))
def test_a_fault_is_found_by_its_rule_and_nothing_else_is(
    name: str, place: Place, built: Path
) -> None:
    lived = life_of(name, place, built)
    about = EXPECTED[name]
    finds = [{key: one[key] for key in one if key != "says"} for one in about["finds"]]
    details = [one.finding.detail for one in lived.found]
    for words in (one["says"] for one in about["finds"] if "says" in one):
        assert any(words in detail for detail in details), details
    if "incomplete" in about:
        check(lived, finds)
        judgement = lived.life.result.judgement
        assert judgement.verdict is Verdict.INCOMPLETE
        assert [about["incomplete"] in one for one in judgement.reasons] == [True], lived.told
        return
    if "init" not in about:
        check_whole(lived, finds)
        return
    check(lived, finds)
    assert [one.obstacle for one in lived.life.reasons] == [Obstacle.DOES_NOT_LOAD], lived.told
    assert os.strerror(getattr(errno, about["init"])) in lived.life.reasons[0].message
    assert lived.life.result.judgement.verdict is not Verdict.CLEAN
