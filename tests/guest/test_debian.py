"""Whole lives of Debian's own modules, and of some that it has as source, each with an exercise."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from freeonce.project.machine import Machine
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
