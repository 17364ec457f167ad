"""Campaigns whose hosts, modules or kernels are not alike: told, and in nobody's way."""

import shutil
import site
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import pytest
from click.testing import CliRunner
from distributed import Client

import freeonce
from freeonce.campaign import identity
from freeonce.campaign.trust import TIMES
from freeonce.cli.results import results as shown
from freeonce.deadline import patience
from freeonce.project.host import QEMU_VARIABLE, find_qemu
from freeonce.project.image import load_image
from freeonce.project.making import image_of
from tests.guest.campaigning import FREEONCE, NONE, SECONDS, begun, results, scheduler

pytestmark = pytest.mark.long

MANY = '[[scenarios]]\nnames = ["c/pool"]\nrepeat = 12\n'


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    file = tmp_path / "plan.toml"
    file.write_text(MANY)
    return file


def led(plan: Path, *words: str) -> tuple[int, str]:
    """A campaign from its begin to its end: its status, and what it said."""
    with begun(*FREEONCE, "campaign", str(plan), *words) as campaign:
        said, _ = campaign.communicate(timeout=4 * SECONDS * patience())
    return campaign.returncode, said


@contextmanager
def worker(
    address: str, program: tuple[str, ...] = FREEONCE, settings: Mapping[str, str] = NONE
) -> Iterator[Popen[str]]:
    """Of one slot, once a machine has been looked at; `program`: that of its freeonce."""
    words = (*program, "worker", address, "--slots", "1", "--accel", "tcg")
    with begun(*words, settings=settings) as process:
        assert process.stdout
        said = []
        for line in process.stdout:
            said.append(line)
            if line == "1 slots\n":
                break
        else:
            pytest.fail("".join(said))
        yield process


def both_there(address: str) -> None:
    with Client(address) as client:
        client.wait_for_workers(2, timeout=SECONDS * patience())


VERSION = "0.0.9"


def another_install(folder: Path) -> tuple[str, ...]:
    """A freeonce of another version, in a virtual environment of its own."""
    package = folder / "package/freeonce"
    shutil.copytree(identity.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    init = package / "__init__.py"
    ours = f'__version__ = "{freeonce.__version__}"'
    assert ours in init.read_text()
    init.write_text(init.read_text().replace(ours, f'__version__ = "{VERSION}"'))
    venv.create(folder / "venv", symlinks=True)
    (packages,) = (folder / "venv/lib").glob("python*/site-packages")
    # What it needs is that of ours; what a path's own .pth files name is not followed.
    paths = [str(package.parent), *site.getsitepackages()]
    (packages / "another.pth").write_text("\n".join(paths))
    return (str(folder / "venv/bin/python"), "-m", "freeonce")


def test_a_worker_of_another_version_is_left_to_others_and_stops_nobody(
    plan: Path, tmp_path: Path
) -> None:
    other = another_install(tmp_path)
    theirs = f"{VERSION}+{identity.package_digest(tmp_path / 'package/freeonce')[:16]}"
    with scheduler() as (address, _), worker(address, other) as stranger, worker(address):
        both_there(address)
        status, said = led(plan, "--scheduler", address)
        # Others may use it.
        assert stranger.poll() is None
    assert status == 0, said
    both = f"this worker's is {theirs}, the campaign's {identity.harness()}"
    assert f"was taken out: it differs: harness: {both}" in said
    kept = results(plan.with_suffix(".results"))
    assert [one.verdict for one in kept] == ["clean"] * 12


# A machine whose QEMU works when it is looked at, and later does not.
BROKEN = """#!/bin/sh
[ -e {flag} ] && echo "broken on purpose" >&2 && exit 1
exec {qemu} "$@"
"""


def test_a_worker_that_fails_the_same_way_is_taken_out_and_stops_nobody(
    plan: Path, tmp_path: Path
) -> None:
    flag, qemu = tmp_path / "flag", tmp_path / "qemu-system-x86_64"
    qemu.write_text(BROKEN.format(flag=flag, qemu=find_qemu().path))
    qemu.chmod(0o755)
    broken = {QEMU_VARIABLE: str(qemu)}
    with scheduler() as (address, _), worker(address, settings=broken) as bad:
        flag.touch()
        with worker(address):
            both_there(address)
            status, said = led(plan, "--scheduler", address)
        assert bad.wait(SECONDS * patience()) == 0
    assert status == 0, said
    assert f"was taken out: it refused {TIMES} tasks in a row: no-qemu" in said
    kept = results(plan.with_suffix(".results"))
    assert [one.verdict for one in kept] == ["clean"] * 12
    assert len({one.worker for one in kept}) == 1


LEAKS = "kfree(second);\n\tkfree(first);"


def test_what_is_mended_new_or_gone_between_two_campaigns_is_told(
    plan: Path, tmp_path: Path
) -> None:
    module = tmp_path / "note"
    module.mkdir()
    (module / "Kbuild").write_text("obj-m := note.o\n")
    whole = (Path(__file__).parents[1] / "modules/fail_leak.c").read_text()
    assert LEAKS in whole

    def campaign(name: str, text: str, *packaged: str) -> tuple[int, str]:
        (module / "note.c").write_text(text)
        targets = [str(module), *packaged]
        plan.write_text("".join(f"[[audits]]\ntargets = ['{one}']\n" for one in targets))
        return led(plan, "--local", "2", "--store", str(tmp_path / name))

    status, said = campaign("before", whole.replace(LEAKS, "kfree(first);"), "dummy")
    assert status == 1, said
    status, said = campaign("after", whole, "bonding")
    assert status == 0, said

    def against(new: str, old: str) -> tuple[int, str]:
        done = CliRunner().invoke(shown, [str(tmp_path / new), "--against", str(tmp_path / old)])
        return done.exit_code, done.output

    leak = "leak slab take_second"
    status, said = against("after", "before")
    assert status == 1
    # In the order in which results came.
    assert sorted(said.splitlines()) == [
        f"    gone: {leak}",
        "3 differences",
        f"changed: {module} (0): faulty -> clean",
        "gone: dummy (0): clean",
        "new: bonding (0): clean",
    ]
    told = f"changed: {module} (0): clean -> faulty\n    new: {leak}\n"
    assert told in against("before", "after")[1]
    assert against("after", "after") == (0, "0 differences\n")


KERNELS = ("cloud", "linux-image-6.12-amd64")
MODULES = (
    *("dummy", "bonding", "veth", "vxlan", "macvlan"),
    *("tun", "loop", "null_blk", "zram", "ifb"),
)


def test_a_census_of_ten_modules_is_led_on_two_kernels(plan: Path) -> None:
    if missing := [one for one in KERNELS if not image_of(one).exists()]:
        setups = ", ".join(f"freeonce setup --kernel {one}" for one in missing)
        pytest.skip(f"NOT TESTED: a census on two kernels; no image of {missing}: {setups}")
    plan.write_text(f"[[census]]\nnames = {list(MODULES)}\nkernels = {list(KERNELS)}\n")
    status, said = led(plan, "--local", "2")
    assert status == 0, said
    kept = results(plan.with_suffix(".results"))
    ran = {(one.name, one.kernel, one.document["host"]["kernel"]) for one in kept}
    releases = {one: load_image(image_of(one)).release for one in KERNELS}
    assert ran == {(name, one, releases[one]) for name in MODULES for one in KERNELS}
    assert len(kept) == 2 * len(MODULES)
    assert {one.verdict for one in kept} == {"clean"}
