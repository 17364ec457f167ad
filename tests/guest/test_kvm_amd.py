"""Debian's kvm_amd, built with faults: each found, by its rule alone."""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from freeonce.audit.model import Verdict
from freeonce.project.machine import Machine
from freeonce.subject.build import Headers, build
from tests.guest.exercises import unpacked, wish
from tests.guest.lives import Lived, Place, check_whole, headers_of, lead, made_once
from tests.kvm_amd import faults
from tests.kvm_amd.faults import FAULTS, Change, Fault, put

pytestmark = pytest.mark.long

ONE_CPU = Machine(cpus=1)

KBUILD = Path(faults.__file__).with_name("Kbuild")
ONE_MACHINE = {"kvm": "kvm_user 1", "kvm-nested": "kvm_nested --faulty 1"}


def version(makefile: Path) -> list[str]:
    """Of a kernel's source."""
    return re.findall(r"^(?:VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)$", makefile.read_text(), re.M)


@pytest.fixture(scope="session")
def source(places: Callable[[Machine], Place], session: Path) -> Path:
    """arch/x86/kvm of the guest's kernel."""
    headers = headers_of(places(ONE_CPU)[0])
    major, minor, patch = version((headers.source or headers.headers) / "Makefile")
    package = f"linux-source-{major}.{minor}"
    if not shutil.which("apt-get"):
        pytest.skip(f"its source is {package} of Debian")

    def make(into: Path) -> None:
        archive = unpacked(package, session) / "usr/src" / f"{package}.tar.xz"
        wanted = [f"{package}/{part}" for part in ("Makefile", "arch/x86/kvm")]
        subprocess.run(["tar", "-C", into, "-xJf", archive, *wanted], check=True)

    tree = made_once(session, "source", make) / package
    assert version(tree / "Makefile") == [major, minor, patch], f"{package} is of another kernel"
    return tree / "arch/x86/kvm"


def module(changes: tuple[Change, ...], source: Path, headers: Headers, scratch: Path) -> Path:
    """kvm-amd.ko with these changes."""
    folder = scratch / "source" / "kvm"
    shutil.copytree(source, folder)
    (folder / "Makefile").unlink()
    shutil.copy(KBUILD, folder)
    put(changes, folder)
    into = scratch / "built"
    into.mkdir()
    (built,) = build(folder, headers, into).modules
    return built


@pytest.fixture
def lived(
    request: pytest.FixtureRequest,
    places: Callable[[Machine], Place],
    source: Path,
    session: Path,
    tmp_path: Path,
) -> Lived:
    """A life of kvm with it."""
    fault: Fault | str = request.param
    exercise, changes = (fault, ()) if isinstance(fault, str) else (fault.exercise, fault.changes)
    setting, template = places(ONE_CPU)
    built = module(changes, source, headers_of(setting), tmp_path)
    asked = replace(wish(exercise, session, setting.image), targets=("kvm", str(built)))
    if changes:
        asked = replace(asked, exercises=(), commands=(ONE_MACHINE[exercise],))
    return lead(setting, template, asked)


@pytest.mark.parametrize("lived", ONE_MACHINE, indirect=True)
def test_without_a_change_it_is_clean(lived: Lived) -> None:
    check_whole(lived, [])


@pytest.mark.parametrize(
    ("lived", "fault"),
    [pytest.param(fault, fault, id=name) for name, fault in FAULTS.items()],
    indirect=["lived"],
)
def test_a_fault_is_found_by_its_rule_and_nothing_else_is(lived: Lived, fault: Fault) -> None:
    assert any(fault.says in one.finding.detail for one in lived.found), lived.told
    for one in lived.found:
        assert (one.finding.rule, one.finding.kind) == (fault.rule, "pages"), lived.told
        assert fault.function in (one.place.frame.function if one.place else ""), lived.told
    assert not lived.life.reasons, lived.told
    assert lived.life.result.judgement.verdict is Verdict.FAULTY, lived.told
