"""Whole lives of Debian's own modules, and of some that it has as source, each with an exercise."""

import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from freeonce.audit.attempts import Each
from freeonce.audit.life import Stage
from freeonce.audit.model import Verdict
from freeonce.audit.points import Outcome
from freeonce.project.machine import Machine
from freeonce.run.audit import audit_each
from freeonce.run.prepare import prepare
from tests.guest.exercises import EXERCISES, machine_of, wish
from tests.guest.lives import Place, check_whole, lead

QUICK = ("brd", "kvm", "tun", "zram", "acpi-call-odd")
NAMED = [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in EXERCISES]


def numbers(release: str) -> list[int]:
    """What two kernels are ordered by."""
    return [int(one) for one in re.findall(r"\d+", release)[:2]]


@pytest.mark.parametrize("name", NAMED)
def test_a_life_comes_to_what_is_known_of_it(
    name: str, places: Callable[[Machine], Place], session: Path
) -> None:
    about = EXERCISES[name]
    setting, source = places(machine_of(name))
    if "package" in about and "cloud" in setting.image.release:
        pytest.skip(f"what it needs is a module in {about['package']} only")
    if "before" in about and numbers(setting.image.release) >= numbers(about["before"]):
        pytest.skip(f"its source is for kernels before {about['before']}")
    if "source" in about and not shutil.which("apt-get"):
        pytest.skip("its source is a package of Debian")
    check_whole(lead(setting, source, wish(name, session, setting.image)), about.get("finds", []))


@pytest.mark.long
def test_kvm_bears_each_failure_of_a_machine_and_its_cpus(
    places: Callable[[Machine], Place], session: Path, tmp_path: Path
) -> None:
    """Each acquisition made to fail from when /dev/kvm is opened until the machine is gone."""
    setting, source = places(machine_of("kvm"))
    asked = wish("kvm", session, setting.image)
    asked = replace(asked, exercises=(), commands=("kvm_user 1",))
    ready = prepare(asked, setting.image, tmp_path)
    swept = audit_each(setting, source, ready, Each(Stage.EXERCISE), lambda *_: None)
    assert swept.life.result.judgement.verdict is Verdict.CLEAN
    assert swept.points.counted > 100
    outcomes = Counter(one.outcome for one in swept.points.points)
    assert outcomes == {Outcome.HANDLED: len(swept.points.points)}
