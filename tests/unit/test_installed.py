"""freeonce without its clone: where it finds its sources, and where it keeps what it builds."""

import os
import platform
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from freeonce.cli import main
from freeonce.cli.cache import cache as verb
from freeonce.project import cache, sources
from freeonce.project.image import image_path, outer_path

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with sources of its own; its root."""
    root = tmp_path / "package/sources"
    (root / "guest").mkdir(parents=True)
    (root / "images").mkdir()
    (root / "guest/a.c").write_text("int a;")
    monkeypatch.setattr(sources, "INSTALLED", root)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FREEONCE_IMAGE", raising=False)
    monkeypatch.delenv("FREEONCE_OUTER", raising=False)
    sources.digest.cache_clear()
    return root


@pytest.fixture(autouse=True)
def _forget() -> None:
    sources.digest.cache_clear()


def test_a_clone_has_its_sources_and_its_build_in_its_root() -> None:
    root = Path(__file__).resolve().parents[2]
    assert sources.root() == root
    assert cache.builds() == root / "build"


def test_a_package_builds_in_the_users_cache(installed: Path, tmp_path: Path) -> None:
    assert sources.root() == installed
    place = tmp_path / "cache/freeonce/images" / sources.digest()
    assert image_path() == place / "current/manifest.json"
    assert outer_path() == place / "outer/outer.json"


def test_other_sources_are_built_elsewhere(installed: Path) -> None:
    first = cache.builds()
    (installed / "guest/a.c").write_text("int b;")
    sources.digest.cache_clear()
    assert cache.builds() != first


def test_a_digest_tells_names_from_contents(tmp_path: Path) -> None:
    for folder, name, text in (("one", "ab", "c"), ("two", "a", "bc"), ("three", "ab", "c")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    one, two, three = (sources.digest_of(tmp_path / name) for name in ("one", "two", "three"))
    assert one == three != two


def entry(folder: Path, name: str = "manifest.json") -> Path:
    folder.mkdir(parents=True)
    (folder / name).write_text("{}")
    (folder / "boot").write_bytes(bytes(100_000))
    return folder


def test_what_is_kept_is_shown_and_cleared(
    installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert installed
    home = tmp_path / "cache/freeonce"
    ours = entry(cache.builds() / "cloud")
    (cache.builds() / "current").symlink_to("cloud")
    outer = entry(cache.builds() / "generic", "outer.json")
    old = entry(home / "images" / ("0" * 32) / "cloud")
    project = entry(home / "projects" / ("1" * 32))
    (project / cache.SOURCES).write_text("of another freeonce")
    mine = entry(home / "projects" / ("2" * 32))
    (mine / cache.SOURCES).write_text(sources.digest())
    # A setup and a compilation that were interrupted.
    halves = entry(home / "images" / ("3" * 32) / "cloud", "x"), entry(home / "projects/4.abc", "x")
    kept = list(cache.entries())
    assert {one.folder for one in kept} == {ours, outer, old, project, mine, *halves}
    assert {one.folder for one in kept if one.current} == {ours, outer, mine}
    assert all(one.size >= 100_000 for one in kept)

    verb.main(["clear", "--old"], standalone_mode=False)
    assert {one.folder for one in cache.entries()} == {ours, outer, mine}
    verb.main(["clear"], standalone_mode=False)
    verb.main([], standalone_mode=False)
    assert not ours.exists()
    said = capsys.readouterr().out
    assert said.count("removed ") == 7
    assert said.endswith("0 bytes  in all\n")


def test_of_projects_images_those_used_last_stay(installed: Path) -> None:
    assert installed
    folders = [entry(cache.projects() / f"{number:032}") for number in range(11)]
    for number, folder in enumerate(folders):
        os.utime(folder, (number, number))
    cache.forget_projects()
    assert [one for one in folders if one.exists()] == folders[-cache.KEPT_PROJECTS :]


def test_a_digest_has_what_is_below_and_not_what_editors_hide(tmp_path: Path) -> None:
    (tmp_path / "helper").mkdir()
    (tmp_path / "helper/mod.rs").write_text("1")
    first = sources.digest_of(tmp_path)
    (tmp_path / ".#owner.rs").symlink_to("nobody@nowhere:1")
    (tmp_path / "old.c").mkdir()
    assert sources.digest_of(tmp_path) == first
    (tmp_path / "helper/mod.rs").write_text("2")
    assert sources.digest_of(tmp_path) != first


@pytest.mark.parametrize(
    ("system", "machine", "said"),
    [
        ("Darwin", "arm64", "needs x86-64 Linux, and this is Darwin on arm64"),
        ("Linux", "aarch64", "needs x86-64 Linux, and this is Linux on aarch64"),
        ("Windows", "AMD64", "needs x86-64 Linux, and this is Windows on AMD64"),
    ],
)
def test_elsewhere_every_verb_says_at_once_what_it_needs(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    system: str,
    machine: str,
    said: str,
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    # Windows has no such signal.
    monkeypatch.delattr(signal, "SIGHUP")
    read: list[str] = []
    monkeypatch.setattr(main, "import_module", read.append)
    for name in ("--help", *main.VERBS):
        monkeypatch.setattr(sys, "argv", ["freeonce", name])
        with pytest.raises(SystemExit) as ended:
            main.main()
        assert ended.value.code == main.HOST
        assert said in capsys.readouterr().err
    assert not read


def versions(lines: list[str]) -> dict[str, list[int]]:
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonical(name): [int(part) for part in re.findall(r"\d+", at)] for name, at in pairs}


def canonical(name: str) -> str:
    """As PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lowest() -> dict[str, list[int]]:
    said = subprocess.run([ROOT / "ci/lowest"], capture_output=True, text=True, check=True).stdout
    return versions(said.splitlines())


def test_every_runtime_dependency_has_a_lower_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [re.split(r"[<>=]", one)[0] for one in project["dependencies"]]
    assert {canonical(one) for one in named} <= lowest().keys()


def test_the_constraints_are_within_the_bounds() -> None:
    fixed = versions((ROOT / "ci/constraints.txt").read_text().splitlines())
    low = lowest()
    assert low.keys() <= fixed.keys()
    assert {name: fixed[name] for name in low if fixed[name] < low[name]} == {}
