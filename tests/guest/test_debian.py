"""Whole lives of Debian's own modules, and of some that it has as source, each with an exercise."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from freeonce.project.machine import Machine
from tests.guest.exercises import EXERCISES, wish
from tests.guest.lives import Place, check_whole, lead

QUICK = ("brd", "kvm", "tun", "zram", "acpi-call-odd")
NAMED = [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in EXERCISES]


@pytest.mark.parametrize("name", NAMED)
def test_a_life_comes_to_what_is_known_of_it(
    name: str, places: Callable[[int], Place], session: Path
) -> None:
    about = EXERCISES[name]
    setting, source = places(about.get("cpus", Machine.cpus))
    if "package" in about and "cloud" in setting.image.release:
        pytest.skip(f"what it needs is a module in {about['package']} only")
    if "source" in about and not shutil.which("apt-get"):
        pytest.skip("its source is a package of Debian")
    check_whole(lead(setting, source, wish(name, session)), about.get("finds", []))
