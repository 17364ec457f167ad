"""QEMU's arguments, the console's reading, the process and its folder: without any QEMU."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from freeonce.deadline import Deadline
from freeonce.errors import DeadlineExceeded, GuestLost, HostError
from freeonce.machine import folder as folder_module
from freeonce.machine.argv import MIB, MachineConfig, Ram, Window, kernel_command_line, qemu_argv
from freeonce.machine.console import console
from freeonce.machine.folder import kept_folder
from freeonce.machine.process import QemuEnded, qemu_process

CONFIG = MachineConfig(
    qemu="qemu-system-x86_64",
    accelerator="tcg",
    boot=Path("/image/boot"),
    initramfs=Path("/image/initramfs.cpio"),
    cpu="max,+svm,+npt",
)


NOBODY = 65534


def option(argv: tuple[str, ...], name: str) -> str:
    return argv[argv.index(name) + 1]


def test_the_window_is_reserved_on_the_kernel_command_line() -> None:
    assert "memmap=0x800000$0x8000000" in kernel_command_line(CONFIG).split()


def test_a_window_outside_of_the_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        MachineConfig(
            "qemu", "tcg", Path(), Path(), "max", memory=64 * MIB, window=Window(60 * MIB, 8 * MIB)
        )


def test_argv_names_what_the_machine_is_made_of() -> None:
    argv = qemu_argv(CONFIG, Path("/tmp/run"))
    assert argv[0] == "qemu-system-x86_64"
    assert option(argv, "-kernel") == "/image/boot"
    assert option(argv, "-initrd") == "/image/initramfs.cpio"
    assert option(argv, "-accel") == "tcg"
    assert option(argv, "-cpu") == "max,+svm,+npt"
    assert option(argv, "-m") == "256M"
    assert "-S" in argv
    assert any("/tmp/run/qmp.sock" in one for one in argv)


def test_qemu_is_kept_from_starting_programs() -> None:
    """What breaks out of a guest is a QEMU that may do no more than QEMU must."""
    sandbox = option(qemu_argv(CONFIG, Path("/tmp/run")), "-sandbox").split(",")
    assert sandbox[0] == "on"
    assert {"spawn=deny", "elevateprivileges=deny", "resourcecontrol=deny"} <= set(sandbox)
    without = qemu_argv(replace(CONFIG, sandbox=False), Path("/tmp/run"))
    assert "-sandbox" not in without


def test_a_comma_in_a_path_ends_no_value() -> None:
    argv = qemu_argv(CONFIG, Path("/tmp/run"), Ram(("/home/a,b/ram0",), clone=False))
    assert option(argv, "-object").split(",", 1)[1].startswith("mem-path=/home/a,,b/ram0,")


def test_the_network_reaches_only_the_guest() -> None:
    netdev = option(qemu_argv(CONFIG, Path("/tmp/run")), "-netdev")
    assert "restrict=on" in netdev
    assert "hostfwd=tcp:127.0.0.1:0-:22" in netdev


def test_a_program_that_is_not_there_is_the_hosts_fault(tmp_path: Path) -> None:
    with pytest.raises(HostError) as error, qemu_process(["/no/such/qemu"], tmp_path):
        pass
    assert error.value.reason == "no-qemu"


def test_a_program_that_ends_says_status_command_and_words(tmp_path: Path) -> None:
    argv = ["/bin/sh", "-c", "echo cannot set up memory >&2; exit 7"]
    with qemu_process(argv, tmp_path) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(GuestLost, match=r"status 7: cannot set up memory\ncommand: /bin/sh"):
            process.check()


def test_a_program_that_a_signal_ended_names_it(tmp_path: Path) -> None:
    with qemu_process(["/bin/sh", "-c", "kill -BUS $$"], tmp_path) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(QemuEnded, match="QEMU was ended by signal SIGBUS: it said") as ended:
            process.check()
    assert ended.value.status == -signal.SIGBUS


def test_its_group_is_ended_before_its_number_can_be_anothers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking whether it lives reaps nothing: the number of a process that was reaped is free."""
    killpg, states = os.killpg, []

    def looking(group: int, number: int) -> None:
        states.append(Path(f"/proc/{group}/stat").read_text().rsplit(")", 1)[1].split()[0])
        killpg(group, number)

    monkeypatch.setattr(os, "killpg", looking)
    left = tmp_path / "left"
    argv = ["/bin/sh", "-c", f"sleep 60 & echo $! >{left}"]
    with qemu_process(argv, tmp_path) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(QemuEnded):
            process.check()
    assert states == ["Z"]
    # What it left behind went with its group.
    end = time.monotonic() + 10
    stat = Path(f"/proc/{left.read_text().strip()}/stat")
    while stat.exists() and " Z " not in stat.read_text() and time.monotonic() < end:
        time.sleep(0.01)
    assert not stat.exists() or " Z " in stat.read_text()


def test_who_was_reaped_is_sent_no_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with qemu_process(["/bin/true"], tmp_path) as process:
        pass
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("its number is another's by now"))
    process.kill()


def test_a_program_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freeonce.machine.process.STOP_SECONDS", 0.2)
    ready = tmp_path / "ready"
    argv = ["/bin/sh", "-c", f"trap '' TERM; touch {ready}; while :; do sleep 0.05; done"]
    with qemu_process(argv, tmp_path) as process:
        while not ready.exists():
            time.sleep(0.01)
    assert not Path(f"/proc/{process.pid}").exists()


def test_the_folder_is_gone_when_the_block_ends() -> None:
    with kept_folder() as folder:
        (folder / "file").write_text("x")
    assert not folder.exists()


def test_the_folder_is_gone_when_we_are_killed() -> None:
    script = (
        "from freeonce.machine.folder import kept_folder\n"
        "import time\n"
        "with kept_folder() as folder:\n"
        "    print(folder, flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    assert folder.is_dir()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 10
    while folder.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not folder.exists()


def test_a_folder_that_cannot_be_made_is_the_hosts_matter() -> None:
    with pytest.raises(HostError, match="cannot make a folder in /proc") as error:  # noqa: SIM117
        with kept_folder(Path("/proc")):
            pass
    assert error.value.reason == "no-scratch"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_folder_goes_also_when_its_keeper_was_killed_or_stands_still(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "KEEPER_SECONDS", 0.2)
    keepers = []

    def keeper(path: Path) -> "subprocess.Popen[bytes]":
        keepers.append(real(path))
        return keepers[0]

    real = folder_module._keeper
    monkeypatch.setattr(folder_module, "_keeper", keeper)
    with kept_folder(tmp_path) as folder:
        (folder / "file").write_text("x")
        keepers[0].send_signal(number)
    assert list(tmp_path.iterdir()) == []
    assert keepers[0].returncode == -signal.SIGKILL


def test_a_signal_for_our_group_leaves_no_folder_without_a_keeper(tmp_path: Path) -> None:
    """As Ctrl-C sends it; for a moment a new keeper is of our group, too."""
    script = (
        "import os, pathlib, signal, sys, threading, time\n"
        "from freeonce.machine.folder import kept_folder\n"
        "for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):\n"
        "    signal.signal(number, lambda *_: None)\n"
        "over = threading.Event()\n"
        "def disturb():\n"
        "    while not over.is_set():\n"
        "        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):\n"
        "            os.killpg(0, number)\n"
        "        time.sleep(0.0002)\n"
        "thread = threading.Thread(target=disturb)\n"
        "thread.start()\n"
        "for _ in range(100):\n"
        "    with kept_folder(pathlib.Path(sys.argv[1])) as folder:\n"
        "        assert folder.is_dir()\n"
        "over.set()\n"
        "thread.join()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    subprocess.run(command, check=True, start_new_session=True)
    assert list(tmp_path.iterdir()) == []


def test_the_keeper_ends_only_a_qemu_of_its_own_folder() -> None:
    """A process that merely names the folder is not ours to end."""
    with suppress(InterruptedError), kept_folder() as folder:
        # sleep refuses the argument, so a shell stands in with the argument in its own list.
        bystander = subprocess.Popen(["/bin/sh", "-c", "sleep 60", f"path={folder}/qmp.sock"])
        ours = subprocess.Popen(
            # By no name of QEMU's: a user's may be a script around it.
            ["/bin/sh", "-c", "sleep 60; :", f"socket,id=qmp,path={folder}/qmp.sock,server=on"],
            start_new_session=True,
        )
        raise InterruptedError
    try:
        assert ours.wait(10) == -signal.SIGKILL
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
        os.killpg(ours.pid, signal.SIGKILL)


@pytest.mark.parametrize("name", ["plain", "a[b].c*", "a\nb c", "\\a^$"])
def test_the_keeper_ends_what_has_its_temporary_files_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As builds have; and what these begin, also when that is of another session."""
    (tmp_path / name).mkdir()
    monkeypatch.setenv("none", "none")

    def begun(temporary: str, variable: str = "TMPDIR") -> "subprocess.Popen[bytes]":
        words = ("setsid", "sh", "-c", "sleep 60 & echo $!; wait")
        environment = {**os.environ, variable: temporary}
        return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE)

    with suppress(InterruptedError), kept_folder(tmp_path / name) as folder:
        ours = begun(f"{folder}/0")
        others = [
            begun(f"{folder}0/0"),
            begun(f"{folder}/0", "OLD_TMPDIR"),
            begun(f"{tmp_path}/0"),
            begun(f"{folder}/0".replace(".", "x").replace("[b]", "b").replace("*", "")),
        ][: 4 if "." in name else 3]
        held = ours.stdout
        assert held
        held.readline()
        theirs = [int(one.stdout.readline()) for one in others if one.stdout]
        raise InterruptedError
    try:
        assert ours.wait(10) == -signal.SIGKILL
        assert held
        # Its pipe ends with the last who holds it.
        assert held.read() == b""
        assert [one.poll() for one in others] == [None] * len(others)
    finally:
        for pid in theirs:
            os.kill(pid, signal.SIGKILL)
        for one in others:
            one.wait()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_who_is_killed_as_a_folder_is_made_leaves_none(tmp_path: Path, moment: str) -> None:
    """There is no moment at which it has no keeper that has begun."""
    script = (
        "import os, pathlib, signal, sys\n"
        "from freeonce.machine import folder\n"
        "make = folder._make\n"
        "def killed(path):\n"
        "    if sys.argv[2] == 'after':\n"
        "        make(path)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "folder._make = killed\n"
        "with folder.kept_folder(pathlib.Path(sys.argv[1])): pass\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), moment]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    end = time.monotonic() + 10
    while list(tmp_path.iterdir()) and time.monotonic() < end:
        time.sleep(0.02)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("shell", "why"),
    [
        ("exit 0", "ended at once"),
        ("echo no shell >&2; exit 127", "ended at once"),
        ("kill -KILL $$", "ended at once"),
        ("kill -STOP $$", "did not begin within"),
    ],
)
def test_without_a_keeper_that_has_begun_there_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str, why: str
) -> None:
    """Popen returns when exec did: a shell may end before it reads a word of what it is told."""
    monkeypatch.setattr(folder_module, "KEEPER", shell)
    if "STOP" in shell:
        monkeypatch.setattr(folder_module, "KEEPER_SECONDS", 0.2)
    with pytest.raises(HostError, match=f"has no keeper: .*{why}") as error:  # noqa: SIM117
        with kept_folder(tmp_path):
            pass
    assert error.value.reason == "no-process"
    assert list(tmp_path.iterdir()) == []


def test_a_keeper_that_can_begin_no_process_ends_and_removes_what_outlived_us() -> None:
    """A shell ends where fork(2) fails, before its next command."""
    root = os.getuid() == 0
    # For root there is no such limit, and pytest's folders are root's alone.
    user: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if root else {}
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        folder = Path(place) / "freeonce-0[1]"
        (folder / "half").mkdir(parents=True)
        for path in (Path(place), folder, folder / "half"):
            path.chmod(0o777)

        def begun(*words: str, **environment: str) -> "subprocess.Popen[bytes]":
            return subprocess.Popen(words, env={**os.environ, **environment}, **user)

        served = f"socket,id=qmp,path={folder}/qmp.sock,server=on"
        ours = [
            begun("/bin/sh", "-c", "kill -STOP $$", served),
            begun("sleep", "60", TMPDIR=f"{folder}/0"),
        ]
        theirs = [
            begun("sleep", "60", TMPDIR=f"{folder}0/0"),
            begun("/bin/sh", "-c", "kill -STOP $$", f"path={folder}/qmp.sock"),
        ]
        words = ["/bin/sh", "-c", folder_module.KEEPER, str(folder), str(folder)]
        most = partial(resource.setrlimit, resource.RLIMIT_NPROC, (1, 1))
        subprocess.run(words, stdin=subprocess.DEVNULL, check=True, preexec_fn=most, **user)
        try:
            assert not folder.exists()
            assert [one.wait(10) for one in ours] == [-signal.SIGKILL] * 2
            assert [one.poll() for one in theirs] == [None] * 2
        finally:
            for one in theirs:
                one.kill()
                one.wait()


def greps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str) -> Path:
    """The keeper's grep does this; a line for each."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "grep").write_text(f"#!/bin/sh\necho >>{tmp_path}/greps\n{words}\n")
    (tmp_path / "bin" / "grep").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return tmp_path / "greps"


def test_the_keeper_begins_few_processes_however_many_a_host_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = greps(tmp_path, monkeypatch, f'exec {shutil.which("grep")} "$@"')
    many = [subprocess.Popen(["sleep", "60"]) for _ in range(30)]
    try:
        with suppress(InterruptedError), kept_folder(tmp_path):
            raise InterruptedError
    finally:
        for one in many:
            one.kill()
            one.wait()
    assert 2 <= len(calls.read_text().splitlines()) < 30


def test_what_sigkill_does_not_end_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of more than the most that Linux has.
    calls = greps(tmp_path, monkeypatch, "echo /proc/99999999/environ")
    with suppress(InterruptedError), kept_folder(tmp_path) as folder:
        raise InterruptedError
    assert len(calls.read_text().splitlines()) == 20
    assert not folder.exists()


@pytest.fixture
def talker(tmp_path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "console.sock"))
    listener.listen()
    return listener


def test_the_console_waits_for_a_text(tmp_path: Path, talker: socket.socket) -> None:
    with console(tmp_path) as line:
        guest, _ = talker.accept()
        guest.sendall(b"booting\r\nfreeonce: ready\r\n")
        line.wait_for("freeonce: ready", Deadline(5, "booting"), lambda: None)
        assert "booting" in line.tail()


@pytest.mark.usefixtures("usual_speed")
def test_the_console_gives_up_at_its_deadline(tmp_path: Path, talker: socket.socket) -> None:
    with console(tmp_path) as line:
        guest, _ = talker.accept()
        guest.sendall(b"no such word")
        with pytest.raises(DeadlineExceeded, match=r"booting took more than 0\.3 s"):
            line.wait_for("freeonce: ready", Deadline(0.3, "booting"), lambda: None)


def test_the_console_asks_whether_the_guest_lives(tmp_path: Path, talker: socket.socket) -> None:
    def dead() -> None:
        raise GuestLost("gone")

    with console(tmp_path) as line:
        talker.accept()
        with pytest.raises(GuestLost, match="gone"):
            line.wait_for("freeonce: ready", Deadline(5, "booting"), dead)


def test_the_last_words_begin_where_it_went_wrong(tmp_path: Path, talker: socket.socket) -> None:
    with console(tmp_path) as line:
        guest, _ = talker.accept()
        guest.sendall(b"booting\nBUG: kernel NULL pointer dereference\n")
        guest.sendall(b"".join(b"  ? frame %d\n" % number for number in range(200)))
        assert line.tail(3) == "BUG: kernel NULL pointer dereference\n  ? frame 0\n  ? frame 1"


def test_a_guest_that_talks_without_end_fills_no_memory(
    tmp_path: Path, talker: socket.socket
) -> None:
    with console(tmp_path) as line:
        guest, _ = talker.accept()
        for _ in range(50):
            guest.sendall(b"x" * 1023 + b"\n")
            line.drain()
        guest.sendall(b"last \x1b[31mwords\n")
        assert line.tail(1) == "last \\x1b[31mwords"
        assert len(line.tail(10_000)) < 40_000


def test_who_listens_hears_each_line_once(
    tmp_path: Path, talker: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "freeonce.console")
    with console(tmp_path) as line:
        guest, _ = talker.accept()
        for part in (b"boo", b"ting\r\nfreeonce: ", b"ready\r\nhalf a line"):
            guest.sendall(part)
            line.drain()
        guest.sendall(b" \x1b[31mand its end\n")
    # What came last is heard when the console is closed.
    assert caplog.messages == ["booting", "freeonce: ready", "half a line \\x1b[31mand its end"]
