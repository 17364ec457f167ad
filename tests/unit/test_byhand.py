"""Guests that somebody works with by hand: found, chosen, their console shared."""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from freeonce.byhand.guests import choose, running
from freeonce.byhand.terminal import attach
from freeonce.errors import GuestLost, UsageError
from freeonce.machine.console import Console
from freeonce.machine.sharing import SOCKET, shared


def guest(place: Path, name: str) -> Path:
    folder = place / f"freeonce-{name}"
    folder.mkdir()
    about = {"name": name, "folder": str(folder), "port": 2222, "client_key": "/keys/client"}
    (folder / "guest.json").write_text(json.dumps(about))
    return folder


def test_the_only_one_needs_no_name(tmp_path: Path) -> None:
    folder = guest(tmp_path, "shell-7")
    assert choose("", tmp_path).console == folder / SOCKET


def test_a_name_may_be_begun(tmp_path: Path) -> None:
    for name in ("shell-7", "shell-71", "debug-8"):
        guest(tmp_path, name)
    assert choose("deb", tmp_path).name == "debug-8"
    # A whole name is that one, whoever else begins so.
    assert choose("shell-7", tmp_path).name == "shell-7"


@pytest.mark.parametrize(
    ("there", "wanted", "said"),
    [
        ([], "", "`freeonce shell` in another terminal starts one"),
        (["shell-7", "debug-8"], "", "several guests run; say which:\n  debug-8\n  shell-7"),
        (["shell-7", "shell-8", "debug-9"], "sh", "say which:\n  shell-7\n  shell-8"),
        (["shell-7"], "debug", "no guest is called 'debug':\n  shell-7"),
    ],
)
def test_none_or_several_are_told(there: list[str], wanted: str, said: str, tmp_path: Path) -> None:
    for name in there:
        guest(tmp_path, name)
    with pytest.raises(UsageError) as raised:
        choose(wanted, tmp_path)
    assert str(raised.value).endswith(said)


def test_what_is_no_guest_of_ours_is_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = guest(tmp_path, "shell-7")
    (tmp_path / "freeonce-campaign").mkdir()
    (tmp_path / "freeonce-link").symlink_to(folder)
    (guest(tmp_path, "half") / "guest.json").write_text("{")
    (guest(tmp_path, "other") / "guest.json").write_text('{"name": "x"}')
    assert [one.name for one in running(tmp_path)] == ["shell-7"]
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    assert running(tmp_path) == []


class Line:
    """Both ends of a guest's console that is shared."""

    def __init__(self, guest: socket.socket, console: Console, door: Path) -> None:
        self.guest, self.console, self.door = guest, console, door

    def other(self) -> socket.socket:
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(20)
        one.connect(str(self.door))
        return one


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    guest, ours = socket.socketpair()
    with guest, ours:
        console = Console(ours)
        with shared(console, tmp_path):
            yield Line(guest, console, tmp_path / SOCKET)


def heard(one: socket.socket, until: bytes) -> bytes:
    said = b""
    while not said.endswith(until):
        more = one.recv(4096)
        assert more, said
        said += more
    return said


def test_who_joins_hears_the_last_lines_and_then_all(line: Line) -> None:
    for number in range(100):
        line.guest.sendall(b"line %d\r\n" % number)
    line.guest.sendall(b"booted\r\n")
    with line.other() as first:
        # By then all of it was taken in, whichever of us did it.
        said = heard(first, b"booted\r\n")
        line.guest.sendall(b"more\r\n")
        assert heard(first, b"more\r\n") == b"more\r\n"
        with line.other() as second:
            lines = heard(second, b"more\r\n").splitlines()
    assert lines[-2:] == [b"booted", b"more"]
    assert len(lines) == 24
    assert b"line 99\r\nbooted" in said
    # The owner's own account goes on.
    assert line.console.tail().endswith("line 99\nbooted\nmore")


def test_what_is_typed_reaches_the_guest(line: Line) -> None:
    line.guest.settimeout(20)
    with line.other() as other:
        other.sendall(b"uname\r")
        assert heard(line.guest, b"\r") == b"uname\r"
    # And the next who comes is served, though the first has gone.
    with line.other() as other:
        other.sendall(b"id\r")
        assert heard(line.guest, b"\r") == b"id\r"


def test_who_detaches_leaves_nothing_open(line: Line) -> None:
    line.guest.settimeout(20)

    def come_and_go() -> int:
        with line.other() as other:
            other.sendall(b"x\r")
            heard(line.guest, b"\r")
            return len(os.listdir("/proc/self/fd"))

    first = [come_and_go() for _ in range(3)]
    later = [come_and_go() for _ in range(30)]
    # The one before may not be seen to have gone yet.
    assert max(later) <= max(first) + 1


def until_none_is_left() -> Iterator[int]:
    """Descriptors, until there is no more to be had."""
    with contextlib.suppress(OSError):
        while True:
            yield os.dup(0)


def test_without_a_descriptor_to_spare_who_comes_waits(line: Line) -> None:
    """And is served when there is one; the guest's owner never hears of it."""
    line.guest.settimeout(20)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with line.other() as first, line.other() as second:
        first.sendall(b"a\r")
        heard(line.guest, b"a\r")
        second.sendall(b"b\r")
        heard(line.guest, b"b\r")
        with socket.socket(socket.AF_UNIX) as third:
            third.settimeout(20)
            most = max(map(int, os.listdir("/proc/self/fd"))) + 1
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            holes = list(until_none_is_left())
            try:
                third.connect(str(line.door))
                third.sendall(b"c\r")
                first.sendall(b"d\r")
                assert heard(line.guest, b"d\r") == b"d\r"
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for hole in holes:
                    os.close(hole)
            assert heard(line.guest, b"c\r") == b"c\r"


def test_nobody_waits_for_who_does_not_read(line: Line) -> None:
    line.guest.settimeout(20)
    with line.other():
        # More than all sockets hold.
        for _ in range(200):
            line.guest.sendall(b"x" * 8191 + b"\n")
        line.guest.sendall(b"last\n")
        line.console.drain()
        with line.other() as late:
            assert heard(late, b"last\n")


def test_a_guest_that_does_not_read_holds_nobody_up(line: Line) -> None:
    with line.other() as other:
        for _ in range(200):
            other.sendall(b"x" * 8192)
        line.guest.sendall(b"still here\n")
        assert heard(other, b"still here\n")


def test_others_are_told_when_the_guest_is_gone(line: Line) -> None:
    with line.other() as other:
        line.guest.sendall(b"last words\n")
        heard(other, b"last words\n")
        line.guest.close()
        assert other.recv(1) == b""


def test_others_are_told_when_its_owner_lets_go(tmp_path: Path) -> None:
    guest, ours = socket.socketpair()
    with guest, ours, socket.socket(socket.AF_UNIX) as other:
        other.settimeout(20)
        with shared(Console(ours), tmp_path):
            other.connect(str(tmp_path / SOCKET))
            guest.sendall(b"hello\n")
            heard(other, b"hello\n")
        assert other.recv(1) == b""


ATTACH = (
    "import signal, sys; from pathlib import Path; from freeonce.byhand.terminal import attach\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
    "print('detached' if attach(Path(sys.argv[1])) else 'gone')\n"
)


def terminal(line: Line) -> "pexpect.spawn[str]":
    """A pseudo-terminal that is attached; it was shown what the guest said before."""
    line.guest.sendall(b"hello\r\n")
    line.console.drain()
    child = pexpect.spawn(
        sys.executable, ["-c", ATTACH, str(line.door)], timeout=60, encoding="utf-8"
    )
    child.expect_exact("hello")
    return child


def echoes(child: "pexpect.spawn[str]") -> bool:
    return bool(termios.tcgetattr(child.child_fd)[3] & termios.ECHO)


def test_every_key_is_the_guests_but_the_one_that_detaches(line: Line) -> None:
    line.guest.settimeout(20)
    child = terminal(line)
    assert not echoes(child)
    child.send("\x03\x04\x1a\x1b[A")
    assert heard(line.guest, b"\x1b[A") == b"\x03\x04\x1a\x1b[A"
    child.send("last\x1dnot this")
    child.expect_exact("detached")
    assert echoes(child)
    child.expect(pexpect.EOF)
    assert heard(line.guest, b"last") == b"last"


def test_keys_typed_before_it_is_attached_are_not_lost(line: Line) -> None:
    line.guest.settimeout(20)
    waiting = f"print('soon', flush=True); input()\n{ATTACH}"
    child = pexpect.spawn(
        sys.executable, ["-c", waiting, str(line.door)], timeout=60, encoding="utf-8"
    )
    child.expect_exact("soon")
    # The first line is read in peace; the rest waits in the terminal while it is made raw.
    child.send("go\rearly\r")
    assert heard(line.guest, b"early\n") == b"early\n"
    child.send("\x1d")
    child.expect_exact("detached")


def test_a_terminal_is_what_it_was_however_we_end(line: Line) -> None:
    child = terminal(line)
    assert not echoes(child)
    child.kill(signal.SIGTERM)
    child.expect(pexpect.EOF)
    assert child.wait() == 143
    assert echoes(child)


def test_a_guest_has_no_hand_on_the_terminal(line: Line) -> None:
    child = terminal(line)
    # In two halves, and a letter of two bytes in two halves.
    for part in (b"a\x1b[", b"2Jb\x9b\x07 \xc3", b"\xa9\b.\r\n"):
        line.guest.sendall(part)
    child.expect("\r\n.*\r\n")
    assert str(child.after).strip() == "a[2Jb\ufffd \xe9\b."
    line.guest.close()
    child.expect_exact("gone")


def test_without_a_terminal_it_is_only_shown(line: Line) -> None:
    line.guest.sendall(b"hello\r\n")
    words = [sys.executable, "-c", ATTACH, str(line.door)]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        # The end of its input is not the end.
        assert child.stdout.readline() == b"hello\r\n"
        line.guest.sendall(b"more\r\n")
        assert child.stdout.readline() == b"more\r\n"
        line.guest.close()
        assert child.stdout.read() == b"gone\n"


def test_who_comes_when_the_guest_is_gone_is_told(line: Line) -> None:
    with line.other() as other:
        line.guest.sendall(b"hello\n")
        heard(other, b"hello\n")
        line.guest.close()
        assert other.recv(1) == b""
    for _ in range(2):
        with pytest.raises(GuestLost, match="the guest is gone"):
            attach(line.door)
