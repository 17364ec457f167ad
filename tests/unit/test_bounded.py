"""Commands that may never end, and files for a guest: a shell of this machine stands for it."""

import io
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from freeonce.errors import CommandFailed
from freeonce.guest.bounded import Ended, run_bounded
from freeonce.guest.files import GuestFile, packed, send


class Shell:
    """busybox, as in the guest. `answer`: what it says instead."""

    def __init__(self, answer: bytes | None = None) -> None:
        self.answer = answer

    def command(self, command: str, seconds: float = 0, data: bytes | None = None) -> bytes:
        if self.answer is not None:
            return self.answer
        argv = ["busybox", "sh", "-c", command]
        done = subprocess.run(argv, input=data, capture_output=True, check=False)
        if done.returncode:
            raise CommandFailed(f"{command!r} ended with status {done.returncode}: {done.stderr!r}")
        return done.stdout


def run(command: str, seconds: float = 20, folder: str = "/") -> Ended:
    return run_bounded(Shell(), command, seconds, folder)  # type: ignore[arg-type]


def test_status_and_output_are_those_of_the_command(tmp_path: Path) -> None:
    assert run("echo out; echo err >&2; exit 3") == Ended(3, "out\nerr\n")
    assert run("pwd", folder=str(tmp_path)) == Ended(0, f"{tmp_path}\n")
    assert run("echo \"it's\" '$HOME' # nothing\n") == Ended(0, "it's $HOME\n")


@pytest.mark.parametrize("command", ["kill -9 $$", "sh -c 'kill -9 $$'"])
def test_a_command_that_a_signal_ends_has_its_status(command: str) -> None:
    assert run(command).status == 128 + 9


def test_what_does_not_end_is_left_in_time_with_what_it_started() -> None:
    start = time.monotonic()
    ended = run("echo begun; sleep 4321 & sleep 4321", 1)
    assert ended == Ended(None, "begun\n")
    assert time.monotonic() - start < 30
    left = subprocess.run(["pgrep", "-f", "^sleep 4321"], capture_output=True, check=False)
    assert left.stdout == b""


def test_who_leaves_somebody_behind_has_ended() -> None:
    assert run("sleep 2 & echo done") == Ended(0, "done\n")


def test_a_shell_that_cannot_begin_says_why_without_our_script(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"'ls' cannot be started.*nowhere") as error:
        run("ls", folder=str(tmp_path / "nowhere"))
    assert "mkfifo" not in str(error.value)


@pytest.mark.parametrize("answer", [b"", b"-1\n", b"9999\n", b"\x1b[2J", b"1 2\n"])
def test_an_answer_that_is_none_is_refused(answer: bytes) -> None:
    with pytest.raises(CommandFailed):
        run_bounded(Shell(answer), "true", 1)  # type: ignore[arg-type]


def test_files_arrive_whole_and_replace_those_in_use(tmp_path: Path) -> None:
    used = tmp_path / "used"
    used.write_bytes(b"old")
    with used.open("rb") as running:
        files = [GuestFile(str(used), b"new"), GuestFile(f"{tmp_path}/a/b c", b"x" * 70000, True)]
        send(Shell(), files)  # type: ignore[arg-type]
        assert running.read() == b"old"
    assert used.read_bytes() == b"new"
    assert (tmp_path / "a/b c").read_bytes() == b"x" * 70000
    assert (tmp_path / "a/b c").stat().st_mode & 0o111
    with pytest.raises(CommandFailed, match="2 files"):
        send(Shell(b"1\n"), files)  # type: ignore[arg-type]


def test_an_archive_names_files_from_the_root() -> None:
    with tarfile.open(fileobj=io.BytesIO(packed([GuestFile("/etc/x", b"1")]))) as archive:
        assert archive.getnames() == ["etc/x"]
