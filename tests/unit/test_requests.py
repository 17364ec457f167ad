"""Modules that others ask for by name while they work: found by strings, known to a modprobe."""

from pathlib import Path

import pytest

from freeonce.subject.module import Module
from freeonce.subject.package import Package
from freeonce.subject.requests import index, on_request
from tests.unit.modules import compiled

STRING = "taken"
"""One that every module of `compiled` has."""


@pytest.fixture
def package(tmp_path: Path) -> Package:
    compiled(tmp_path, "asks")
    compiled(tmp_path, "helper")
    compiled(tmp_path, STRING, depends="helper")
    compiled(tmp_path, f"crypto-{STRING}")
    compiled(tmp_path, "other")
    return Package(tmp_path)


def names(modules: list[Module]) -> list[str]:
    return [module.name for module in modules]


def test_what_strings_name_is_within_reach_after_what_it_needs(package: Package) -> None:
    found = names(on_request([package.module("asks")], package))
    assert sorted(found) == ["crypto_taken", "helper", "taken"]
    assert found.index("helper") < found.index("taken")


def test_what_is_loaded_is_there_once(package: Package) -> None:
    loaded = [package.module("asks"), package.module(STRING)]
    assert set(names(on_request(loaded, package))) == {"crypto_taken", "helper"}
    assert names(on_request([package.module("helper"), *loaded], package)) == ["crypto_taken"]


def test_what_cannot_be_had_spoils_nothing(package: Package, tmp_path: Path) -> None:
    compiled(tmp_path, f"crypto-{STRING}", depends="nowhere")
    found = names(on_request([package.module("asks")], package))
    assert set(found) == {"helper", "taken"}


def test_depmod_knows_other_names(package: Package) -> None:
    text = f"# Aliases\nalias {STRING} other\nalias pci:v0000* helper\nalias no module here\n"
    (package.folder / "modules.alias").write_text(text)
    assert list(package.asked_for(STRING)) == [STRING, "other"]
    assert list(package.asked_for("pci:v00001234")) == []
    assert "other" in names(on_request([package.module("asks")], package))


def test_the_index_is_depmods(package: Package) -> None:
    modules = [package.module("helper"), package.module(STRING)]
    texts = index(modules)
    assert texts["modules.dep"] == "helper.ko:\ntaken.ko: helper.ko\n"
    assert texts["modules.alias"] == "alias other-helper helper\nalias other-taken taken\n"
