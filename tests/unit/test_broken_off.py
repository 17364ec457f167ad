"""An audit that is ended in the middle leaves what it had led."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from freeonce.audit.life import Life, Stage
from freeonce.audit.points import Points
from freeonce.cli import audit as verb
from freeonce.project.machine import Machine
from freeonce.run.audit import Audited
from tests.unit.history import run
from tests.unit.results import HOST, result
from tests.unit.test_audit_report import TARGET, TRACES
from tests.unit.test_excused import crashed


@pytest.mark.parametrize("end", [KeyboardInterrupt, RuntimeError])
def test_what_was_led_before_is_in_the_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: type[BaseException]
) -> None:
    setting: Any = SimpleNamespace(document=lambda: HOST, machine=Machine())
    life = Life((TARGET,), Stage.JUDGE, (), (), result("leaky", run().end().settle()))
    seen: list[int] = []

    def audited(*_: Any, guests: int, so_far: Callable[[Callable[[], Audited], str], None]) -> Any:
        assert guests >= 1
        for count in (0, 1):
            points = Points(life.result, (crashed(),) * count, 2)
            done = Audited(life, setting, TRACES, points)
            so_far(lambda done=done: done, f"broken off after {count} of 2")  # type: ignore[misc]
            # The first time at once, then now and then: a kill leaves that.
            seen.append(len(points_in(tmp_path / "x.json")))
        raise end

    monkeypatch.setattr(verb, "audited", audited)
    monkeypatch.setattr(verb, "find_setting", lambda *_, **__: setting)
    arguments = ["leaky", "--fail-each", "--json", str(tmp_path / "x.json")]
    CliRunner().invoke(verb.audit, arguments, standalone_mode=False)
    assert seen == [0, 0]
    document = json.loads((tmp_path / "x.json").read_text())
    assert document["broken_off"] == "broken off after 1 of 2"
    assert document["ok"] is False
    assert len(points_in(tmp_path / "x.json")) == 1


def points_in(file: Path) -> list[Any]:
    (life,) = json.loads(file.read_text())["lives"]
    points: list[Any] = life["failures"]["points"]
    return points
