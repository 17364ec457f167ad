"""Files that a user names may be anything."""

from pathlib import Path

import pytest

from freeonce import given
from freeonce.campaign.identity import file_digest
from freeonce.errors import UsageError
from freeonce.given import given_bytes, given_text
from freeonce.project.file import load_project
from freeonce.run.exercise import of_carried, of_files

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
    with pytest.raises(UsageError, match="has more than 1 million characters"):
        given_text(file)
    with pytest.raises(UsageError, match="has more than 1 MiB"):
        given_bytes(file)


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="'utf-8' codec can't decode"):
        given_text(tmp_path / "file")


@pytest.mark.parametrize("name", ["missing", ".", "a\0b"])
def test_what_cannot_be_read_is_told_by_its_name(name: str, tmp_path: Path) -> None:
    for read in (given_text, given_bytes):
        with pytest.raises(UsageError, match="cannot read"):
            read(tmp_path / name)


def test_no_file_of_a_user_is_read_without_end(tmp_path: Path) -> None:
    (tmp_path / "freeonce.toml").symlink_to(ENDLESS)
    reads = (
        lambda: load_project(tmp_path / "freeonce.toml"),
        lambda: file_digest(ENDLESS),
        lambda: of_files([ENDLESS]),
        lambda: of_carried([f"{ENDLESS}:/tmp/zero"]),
    )
    for read in reads:
        with pytest.raises(UsageError, match="has more than 1 "):
            read()
