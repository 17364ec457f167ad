"""A folder built against headers: here a kbuild of three lines stands for the kernel's."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from freeonce.errors import Obstacle, SubjectError, UsageError
from freeonce.subject.build import Headers, build
from freeonce.subject.places import USERS

KBUILD = """
modules:
\t@for source in $(M)/*.c; do gcc -Wall $(KCFLAGS) -c $$source -o $${source%.c}.ko || exit 1; done
"""


@pytest.fixture
def headers(tmp_path: Path) -> Headers:
    (tmp_path / "headers").mkdir()
    (tmp_path / "headers" / "Makefile").write_text(KBUILD)
    return Headers(tmp_path / "headers")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "module"
    folder.mkdir(parents=True)
    (folder / "Kbuild").write_text("obj-m += it.o\n")
    (folder / "it.c").write_text('#include "../shared.h"\nint it(void) { return SHARED; }\n')
    (folder.parent / "shared.h").write_text("#define SHARED 1\n")
    # Of another kernel: must neither be taken nor be touched.
    (folder / "it.ko").write_bytes(b"old")
    return folder


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def test_a_copy_is_built_and_names_the_users_files(
    headers: Headers, source: Path, scratch: Path
) -> None:
    before = sorted(source.iterdir())
    (made,) = build(source, headers, scratch).modules
    assert made.is_relative_to(scratch)
    lines = subprocess.run(
        ["readelf", "--debug-dump=decodedline", "--wide", made],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"{USERS}{source}" in lines
    assert str(scratch) not in lines
    assert sorted(source.iterdir()) == before
    assert (source / "it.ko").read_bytes() == b"old"


def test_warnings_are_passed_on(headers: Headers, source: Path, scratch: Path) -> None:
    (source / "it.c").write_text("int it(void) { int unused; return 1; }\n")
    (warning,) = build(source, headers, scratch).warnings
    assert warning.startswith(f"{source}/it.c:1:")
    assert "unused" in warning


def test_errors_name_the_users_own_files(headers: Headers, source: Path, scratch: Path) -> None:
    (source / "it.c").write_text("int it(void) { return nothing; }\n")
    with pytest.raises(SubjectError) as error:
        build(source, headers, scratch)
    assert error.value.reason is Obstacle.DOES_NOT_BUILD
    assert f"{source}/it.c:1:" in str(error.value)
    assert str(scratch) not in str(error.value)
    # Make's own last words name files of the kernel, and say nothing.
    assert "***" not in str(error.value)


def test_what_make_itself_does_not_understand_is_told(
    headers: Headers, source: Path, scratch: Path
) -> None:
    (headers.headers / "Makefile").write_text("modules: missing\n")
    with pytest.raises(SubjectError, match="No rule to make target 'missing'"):
        build(source, headers, scratch)


# Begins a compiler that takes long and that a make which is killed alone would leave; $(M)/pid: it.
LONG = "modules:\n\t@sh -c 'echo $$$$ >$(M)/../pid; sleep 60; :'\n"


@pytest.mark.parametrize("broken_off", ["deadline", "ctrl-c"])
def test_a_build_that_is_broken_off_leaves_no_compiler(
    headers: Headers,
    source: Path,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
    broken_off: str,
) -> None:
    (headers.headers / "Makefile").write_text(LONG)

    def begun() -> None:
        while not (scratch / "pid").exists() or not (scratch / "pid").read_text():
            time.sleep(0.01)

    def communicate(
        self: "subprocess.Popen[bytes]", *_: object, **__: object
    ) -> tuple[bytes, bytes]:
        begun()
        if broken_off == "ctrl-c":
            raise KeyboardInterrupt
        return real(self, timeout=0.01)

    real = subprocess.Popen.communicate
    monkeypatch.setattr(subprocess.Popen, "communicate", communicate)
    with pytest.raises(SubjectError if broken_off == "deadline" else KeyboardInterrupt):
        build(source, headers, scratch)
    end = time.monotonic() + 10
    while (alive := _lives(int((scratch / "pid").read_text()))) and time.monotonic() < end:
        time.sleep(0.01)
    assert not alive


def _lives(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_folder_that_cannot_be_copied_is_told(
    headers: Headers, source: Path, scratch: Path
) -> None:
    os.mkfifo(source / "pipe")
    with pytest.raises(UsageError, match=r"cannot copy.*pipe"):
        build(source, headers, scratch)


def test_a_folder_that_is_no_source_is_refused(
    headers: Headers, source: Path, scratch: Path
) -> None:
    (headers.headers / "Makefile").write_text("modules:\n\t@true\n")
    with pytest.raises(SubjectError, match="obj-m"):
        build(source, headers, scratch)
    (source / "Kbuild").unlink()
    with pytest.raises(UsageError, match="neither Kbuild nor Makefile"):
        build(source, headers, scratch)
