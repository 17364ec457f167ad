"""How many CPUs the guests have that scenarios run in."""

from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from freeonce.campaign import perform
from freeonce.project.machine import Machine
from freeonce.project.setting import Setting
from freeonce.run import hire
from freeonce.run.hire import template_for_any


def setting(cpus: int | None = None) -> Setting:
    return Setting(Mock(), Mock(), Mock(), machine=Machine(cpus=cpus), specimens=True)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The number of CPUs that scenarios need, by name, for the table of every template."""
    needed: dict[str, int] = {}

    def template_of(one: Setting) -> AbstractContextManager[Any]:
        lines = [f"scenario\t{name}\tS\tC\t-\t-\t{cpus}\t-\tL.\n" for name, cpus in needed.items()]
        table = "".join(lines).encode()
        return nullcontext(SimpleNamespace(table=table, cpus=one.config().cpus))

    monkeypatch.setattr(hire, "template_of", template_of)
    return needed


def any_cpus(one: Setting) -> int:
    with template_for_any(one) as source:
        return source.cpus  # type: ignore[attr-defined, no-any-return]


def test_by_hand_any_scenario_has_the_cpus_that_it_needs(made: dict[str, int]) -> None:
    made.update({"a/one": 1, "a/two": 2})
    assert any_cpus(setting()) == 2
    made["a/four"] = 4
    assert any_cpus(setting()) == 4
    assert any_cpus(setting(cpus=1)) == 1


@pytest.mark.parametrize("needs", [1, 2, 4])
def test_in_a_campaign_a_scenario_has_the_cpus_that_it_needs(
    needs: int, made: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made.update({"a/one": 1, "a/mine": needs})
    ran: list[int] = []

    def run_one(source: Any, *_: Any) -> tuple[Any, bool]:
        ran.append(source.cpus)
        return Mock(), True

    monkeypatch.setattr(perform, "clone", lambda source, _: nullcontext(source))
    monkeypatch.setattr(perform, "run_one", run_one)
    for name in ("_places", "result_document", "_outcome"):
        monkeypatch.setattr(perform, name, Mock())
    perform.PERFORMERS["scenario"]({"name": "a/mine", "timeout": None}, setting())
    assert ran == [needs]
