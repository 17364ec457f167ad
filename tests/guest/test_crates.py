"""A user's cargo package: built with its dependencies, in a guest, and judged."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[1] / "data/article"
PAGE = Path(__file__).parents[2] / "docs/your-project.md"
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def article(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, in a folder whose name has a blank and with no cargo home of anybody's."""
    place = tmp_path_factory.mktemp("of crates") / "article"
    shutil.copytree(PROJECT, place)
    return place


def run(project: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "freeonce", "run", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def findings(document: dict[str, Any], name: str) -> list[tuple[str, str, str | None]]:
    (told,) = (one for one in document["scenarios"] if one["name"] == name)
    return [(one["rule"], one["kind"], one.get("what")) for one in told["findings"]]


def test_the_article_by_the_names_of_windows(article: Path) -> None:
    """What its author met: a null is released, and what the owner owns is not."""
    done = run(article, "--json", "report.json")
    assert done.returncode == 1, done.stdout + done.stderr
    document = json.loads((article / "report.json").read_text())
    assert findings(document, "article/first") == [
        ("null-free", "pool", None),
        ("leak", "contiguous", "bar"),
    ]
    assert findings(document, "article/boxed") == []
    verdicts = {one["name"]: one["verdict"] for one in document["scenarios"]}
    assert verdicts == {"article/first": "faulty", "article/boxed": "clean"}
    # Files are named from the project's folder.
    assert "allocated at memory/src/lib.rs:" in done.stdout


def test_it_is_made_anew_when_what_it_depends_on_by_path_is_another(article: Path) -> None:
    library = article / "memory/src/lib.rs"
    before = library.read_text()
    assert "compiling the scenarios" not in run(article, "article/boxed").stderr
    forgotten = before.replace("unsafe { ExFreePool(pointer.cast()) }", "let _ = pointer;")
    library.write_text(forgotten)
    try:
        done = run(article, "article/boxed")
    finally:
        library.write_text(before)
    assert "compiling the scenarios in hypervisor" in done.stderr
    assert "leak: `boxed`, 64 bytes pool, never released" in done.stdout


def test_the_page_followed_word_by_word(article: Path, tmp_path: Path) -> None:
    """With the vendored dependency and the library by path that its package names."""
    section = PAGE.read_text().partition("## A cargo package\n")[2].partition("\n## ")[0]
    manifest, source = re.findall(r"^```(?:toml|rust)\n(.*?)^```", section, re.M | re.S)
    shutil.copytree(article / "memory", tmp_path / "memory")
    for name in (".cargo", "vendor"):
        shutil.copytree(article / "hypervisor" / name, tmp_path / "hypervisor" / name)
    (tmp_path / "freeonce.toml").write_text('crate = "hypervisor"\n')
    (tmp_path / "hypervisor/Cargo.toml").write_text(manifest)
    (tmp_path / "hypervisor/src").mkdir()
    (tmp_path / "hypervisor/src/lib.rs").write_text(source)
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 scenario: 1 clean" in done.stdout
