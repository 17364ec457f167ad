"""Files that a user names may be anything."""

import sys
from pathlib import Path

import pytest

from freeonce import given
from freeonce.__main__ import main
from freeonce.campaign.identity import file_digest
from freeonce.errors import UsageError
from freeonce.given import given_bytes, given_text
from freeonce.project.file import load_project
from freeonce.run import exercise

ENDLESS = Path("/dev/zero")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that take no time to reach."""
    monkeypatch.setattr(given, "MOST_TEXT", 1 << 20)
    monkeypatch.setattr(given, "MOST_BYTES", 1 << 20)


def test_what_is_within_the_bound_comes_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"\xc3\xa4\r\n" + b"b" * ((1 << 20) - 4))
    assert given_bytes(file) == file.read_bytes()
    assert given_text(file) == file.read_text(encoding="utf-8")


def test_one_more_is_too_large(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"a" * ((1 << 20) + 1))
    for read in (given_text, given_bytes):
        with pytest.raises(UsageError, match="is larger than 1 MiB"):
            read(file)


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="'utf-8' codec can't decode"):
        given_text(tmp_path / "file")


@pytest.mark.parametrize("name", ["missing", ".", "a\0b"])
def test_what_cannot_be_read_is_told_by_its_name(name: str, tmp_path: Path) -> None:
    for read in (given_text, given_bytes):
        with pytest.raises(UsageError, match="cannot read"):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("verb", "variable"),
    [
        (["audit", "dummy", "--suppress", "/dev/zero"], ""),
        (["audit", "dummy", "--baseline", "/dev/zero"], ""),
        (["audit", "dummy", "--expect", "/dev/zero"], ""),
        (["campaign", "/dev/zero"], ""),
        (["compare", "/dev/zero"], ""),
        (["list"], "FREEONCE_IMAGE"),
    ],
)
def test_no_file_of_a_user_is_read_without_end(
    verb: list[str],
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if variable:
        monkeypatch.setenv(variable, "/dev/zero")
    monkeypatch.setattr(sys, "argv", ["freeonce", *verb])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (2, 3)
    assert "/dev/zero is larger than 1 MiB" in capsys.readouterr().err


def test_nor_is_one_that_goes_into_a_guest_or_a_key(tmp_path: Path) -> None:
    (tmp_path / "freeonce.toml").symlink_to(ENDLESS)
    with pytest.raises(UsageError, match="is larger than"):
        load_project(tmp_path / "freeonce.toml")
    with pytest.raises(UsageError, match="no regular file"):
        file_digest(ENDLESS)


def test_a_key_has_no_bound(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(b"a" * (3 << 20))
    before = file_digest(tmp_path)
    with file.open("ab") as more:
        more.write(b"a")
    assert file_digest(tmp_path) != before


@pytest.mark.parametrize(("size", "count"), [(400 << 10, 3), (0, 1_001)])
def test_all_files_of_an_audit_have_one_bound(
    size: int, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exercise, "MOST_BYTES", 1 << 20)
    for number in range(count):
        (tmp_path / str(number)).write_bytes(bytes(size))
    for read in (
        lambda: exercise.of_files([tmp_path]),
        lambda: exercise.of_carried(map(str, tmp_path.iterdir())),
        lambda: exercise.of_carried(["/dev/zero"]),
    ):
        with pytest.raises(UsageError, match="at most 1000 files and 1 MiB"):
            read()
