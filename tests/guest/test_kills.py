"""A small campaign whose parts are killed at random moments (`make kills` has the whole)."""

import random
from pathlib import Path

import pytest

from tests.kills.campaign import HERE, VICTIMS, Killed, led


@pytest.mark.long
@pytest.mark.parametrize(("local", "victims"), [(False, VICTIMS), (True, HERE)])
def test_whoever_is_killed_each_task_has_one_result_and_nothing_is_left(
    tmp_path: Path, local: bool, victims: tuple[str, ...]
) -> None:
    found = led(tmp_path, Killed(60, 20, 8, local=local), 1200, random.Random(17))
    assert found.over
    assert found.wrong == []
    assert found.results == 60
    assert found.kills.total() == 8
    assert set(found.kills) <= set(victims)
