"""A folder of a user's scenarios becomes an image; what they declare wrongly is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from freeonce.errors import UsageError
from freeonce.project.begin import begin
from freeonce.project.chosen import with_scenarios
from freeonce.project.image import image_path


@pytest.fixture
def scenarios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Those of a new project, in C and Rust; what is made of them goes with the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    list(begin(tmp_path / "mine", ("rust", "c")))
    return tmp_path / "mine/scenarios"


def run(manifest: Path) -> "subprocess.CompletedProcess[str]":
    # One guest: a template of an image that is gone tomorrow would only take room.
    return subprocess.run(
        [sys.executable, "-m", "freeonce", "run", "--shared-guest"],
        env={**os.environ, "FREEONCE_IMAGE": str(manifest), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_finding_in_a_users_file_has_its_place_there(scenarios: Path) -> None:
    for name, release, instead in (
        ("owner.rs", "    drop(vcpu);\n", "    core::mem::forget(vcpu);\n"),
        ("buffer.c", "\tkfree(text);\n", ""),
    ):
        text = (scenarios / name).read_text()
        assert release in text
        (scenarios / name).write_text(text.replace(release, instead))
    manifest = with_scenarios(image_path(), scenarios)
    assert with_scenarios(image_path(), scenarios) == manifest
    done = run(manifest)
    assert done.returncode == 1, done.stderr
    assert "2 scenarios: 0 clean, 2 faulty" in done.stdout
    assert "allocated at scenarios/owner.rs:16" in done.stdout
    assert "allocated at scenarios/buffer.c:9" in done.stdout


@pytest.mark.parametrize(
    ("name", "right", "wrong", "said"),
    [
        (
            "owner.rs",
            "    teardown,\n)]",
            '    teardown,\n)\n.expecting(&[freeonce::scenario::finding(c"leek", c"pool")])]',
            ("there is no such rule", "owner.rs:28"),
        ),
        ("owner.rs", "mine/owner", "mine/" + "o" * 80, ("1 to 80 bytes", "owner.rs:22")),
        (
            "buffer.c",
            'takes.", buffer)',
            'takes.", buffer, EXPECT(FINDING("leak", "slap")))',
            ('there is no kind \\"slap\\"', "buffer.c:19"),
        ),
    ],
    ids=["rule", "name", "kind in C"],
)
def test_what_cannot_be_is_refused_with_its_line(
    scenarios: Path,
    name: str,
    right: str,
    wrong: str,
    said: tuple[str, ...],
    capfd: pytest.CaptureFixture[str],
) -> None:
    text = (scenarios / name).read_text()
    assert right in text
    (scenarios / name).write_text(text.replace(right, wrong))
    with pytest.raises(UsageError, match="do not compile"):
        with_scenarios(image_path(), scenarios)
    told = capfd.readouterr().err
    for word in said:
        assert word in told
    assert f"{scenarios}/{name}:" in told


def test_a_file_that_can_be_no_module_is_refused(
    scenarios: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (scenarios / "owner.rs").rename(scenarios / "2 owners.rs")
    with pytest.raises(UsageError, match="do not compile"):
        with_scenarios(image_path(), scenarios)
    assert "2 owners.rs: a module of Rust cannot be called '2 owners'" in capfd.readouterr().err
