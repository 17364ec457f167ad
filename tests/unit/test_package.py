"""The kernel package's modules: names to files, and the order in which they are loaded."""

from pathlib import Path

import pytest

from freeonce.errors import Obstacle, SubjectError, UsageError
from freeonce.subject.module import read_module
from freeonce.subject.package import Package, load_order
from tests.unit.modules import compiled


@pytest.fixture
def package(tmp_path: Path) -> Package:
    kernel = tmp_path / "lib" / "kernel"
    compiled(kernel / "drivers", "usb-core")
    compiled(kernel / "net", "mii", depends="usb-core")
    compiled(kernel / "net", "card", depends="mii,usb-core", before="firmware not-there")
    compiled(kernel / "net", "firmware")
    compiled(kernel / "net", "orphan", depends="nowhere")
    compiled(kernel / "net", "chicken", depends="egg")
    compiled(kernel / "net", "egg", depends="chicken")
    (tmp_path / "lib" / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
    # As in Debian: a link to the headers, which is no part of the package.
    (tmp_path / "lib" / "build").symlink_to(tmp_path)
    return Package(tmp_path / "lib")


def order(package: Package, *names: str, others: tuple[str, ...] = ()) -> list[str]:
    targets = [package.module(name) for name in names]
    found = load_order(targets, [package.module(name) for name in others], package)
    return [module.name for module in found]


def test_hyphen_and_underscore_are_one(package: Package) -> None:
    assert package.module("usb_core") == package.module("usb-core")


def test_each_comes_after_what_it_needs(package: Package) -> None:
    assert order(package, "card") == ["usb_core", "mii", "firmware", "card"]
    assert order(package, "card", "usb-core") == ["usb_core", "mii", "firmware", "card"]
    assert order(package, "usb-core", others=("firmware",)) == ["firmware", "usb_core"]


def test_a_circle_ends(package: Package) -> None:
    assert sorted(order(package, "egg")) == ["chicken", "egg"]


def test_unknown_names_are_answered_with_near_ones(package: Package) -> None:
    with pytest.raises(UsageError, match="did you mean card"):
        package.module("crad")
    with pytest.raises(UsageError, match="built into"):
        package.module("ext4")
    with pytest.raises(UsageError, match=r"path of a \.ko"):
        package.module("zzzzzzzz")


def test_what_is_built_in_is_there_already(package: Package) -> None:
    assert package.has_built_in("ext4")
    assert not package.has_built_in("card")


def test_what_is_missing_is_named_with_who_needs_it(package: Package, tmp_path: Path) -> None:
    with pytest.raises(SubjectError, match="orphan needs the module nowhere") as error:
        order(package, "orphan")
    assert error.value.reason is Obstacle.MISSING_MODULE
    given = read_module(compiled(tmp_path / "mine", "nowhere"))
    found = load_order([package.module("orphan")], [given], package)
    assert found == [given, package.module("orphan")]
