"""The interactive verbs, driven on a real pseudo-terminal."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pexpect
import pytest

from freeonce.machine.template import Template
from tests.guest.test_death import GRACE_SECONDS, nothing_left

PROMPT = "freeonce> "
SECONDS = 120
ENTERED = "fault/hardware-use-after-free/contiguous/rust/vmcb-entered"

Start = Callable[..., "pexpect.spawn[str]"]


@pytest.fixture
def start(template: Template, tmp_path: Path) -> Iterator[Start]:
    """Starts `freeonce ...` on a pseudo-terminal; its history is this test's own."""
    assert template
    with ExitStack() as stack:

        def begin(*words: str) -> "pexpect.spawn[str]":
            return stack.enter_context(terminal(tmp_path, *words))

        yield begin


@contextmanager
def terminal(state: Path, *words: str) -> Iterator["pexpect.spawn[str]"]:
    environment = {**os.environ, "XDG_STATE_HOME": str(state), "TERM": "dumb", "NO_COLOR": "1"}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "freeonce", *words],
        env=environment,
        encoding="utf-8",
        timeout=SECONDS,
        dimensions=(50, 200),
    )
    try:
        yield child
    finally:
        hang_up(child)


def hang_up(child: "pexpect.spawn[str]") -> None:
    """As a closed window does. It ends in order, for which pexpect would leave it 0.3 s."""
    child.ptyproc.fileobj.close()  # type: ignore[attr-defined]
    end = time.monotonic() + GRACE_SECONDS
    while child.isalive() and time.monotonic() < end:
        time.sleep(0.02)
    child.close(force=True)


def ask(child: "pexpect.spawn[str]", line: str) -> str:
    """What a line at the prompt answers."""
    child.sendline(line)
    child.expect_exact(line)
    child.expect_exact(PROMPT)
    return (child.before or "").strip()


def guest_of(child: "pexpect.spawn[str]") -> tuple[int, Path]:
    """The pid of its QEMU and its folder, by what QEMU was started with."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
            command = (process / "cmdline").read_bytes().decode()
        except (OSError, ValueError):
            continue
        found = re.search(r"path=(/tmp/freeonce-\w+)/qmp.sock", command)
        if parent == child.pid and found:
            return int(process.name), Path(found[1])
    raise AssertionError("the shell has no guest")


def test_the_verbs_on_one_guest(start: Start, tmp_path: Path) -> None:
    shell = start("shell", ENTERED)
    shell.expect_exact(PROMPT)
    assert f"{ENTERED}: " in (shell.before or "")
    ledger = ask(shell, "ledger")
    assert re.search(rf"begin +{ENTERED[:24]}", ledger)
    entered = re.search(r"vmrun .* physical (0x[0-9a-f]+)", ledger)
    assert entered is not None, ledger
    # Its release was withheld: the VMCB stands as the CPU left it.
    assert re.search(r"exit_code +0x[0-9a-f]{16}  VMEXIT_", ask(shell, f"vmcb {entered[1]}"))
    assert "|FREEONCE" in ask(shell, "page 0x8000010")
    assert ask(shell, "pause") == "paused"
    assert '"status": "paused"' in ask(shell, "query-status")
    assert "`resume`" in ask(shell, "run c/pool")
    assert ask(shell, "resume") == "running"
    judged = ask(shell, "audit")
    assert f"{ENTERED}: faulty, as expected" in judged
    assert "hardware-use-after-free: " in judged
    assert "c/pool: clean, as expected" in ask(shell, "run c/pool") + ask(shell, "audit")
    # It unloads the module.
    ask(shell, "run module/unload")
    assert "module/unload: clean, as expected" in ask(shell, "audit")
    assert "`fresh` starts another" in ask(shell, "run c/pool")
    before = guest_of(shell)
    ask(shell, "fresh")
    assert guest_of(shell) != before
    assert "c/pool: clean, as expected" in ask(shell, "run c/pool") + ask(shell, "audit")
    assert "RIP=" in ask(shell, 'human-monitor-command command-line="info registers"')
    for wrong, said in [
        ("run c/nothing", "no scenario is called 'c/nothing'"),
        ("page 0x10000000", "outside of the guest's memory, 0 to 0x10000000"),
        ("vmcb here", "'here' is no address"),
        ("no-such-command", "CommandNotFound"),
        ("query-status x", "key=value"),
        ("", ""),
    ]:
        assert said in ask(shell, wrong)
    guest = guest_of(shell)
    shell.sendline("exit")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 0
    nothing_left(*guest)
    assert "run c/pool" in (tmp_path / "freeonce/shell-history").read_text()


def test_completion_history_and_following(start: Start, tmp_path: Path) -> None:
    history = tmp_path / "freeonce/shell-history"
    history.parent.mkdir()
    history.write_text("page 0x8000000\n")
    shell = start("shell")
    shell.expect_exact(PROMPT)
    shell.send("\x1b[A\r")
    shell.expect_exact("|FREEONCE")
    shell.expect_exact(PROMPT)
    shell.send("run allocated_memory/fi\t\r")
    shell.expect_exact("run allocated_memory/first")
    shell.expect(r"allocated_memory/first: \d+ records")
    shell.expect_exact(PROMPT)
    shell.send("query-stat\t")
    shell.expect_exact("query-stat")
    shell.send("us\x15")
    shell.sendline("ledger --follow")
    shell.expect(r"end +error 0")
    shell.sendintr()
    shell.expect_exact(PROMPT)
    shell.sendline("resu\x03")
    shell.expect_exact(PROMPT)
    guest = guest_of(shell)
    shell.kill(9)
    shell.wait()
    nothing_left(*guest)


def test_a_core_that_drgn_opens(template: Template, tmp_path: Path) -> None:
    assert template
    core = tmp_path / "core"
    words = ["-m", "freeonce", "dump", str(core), "allocated_memory/write_drop_storage"]
    subprocess.run([sys.executable, *words], check=True)
    drgn = Path(sys.executable).parent / "drgn"
    script = Path(__file__).resolve().parents[2] / "guest/ledger.drgn.py"
    done = subprocess.run(
        [drgn, "-q", "-c", core, script], check=True, capture_output=True, text=True
    )
    # The scenario's own declaration: `bar`, 64 bytes, leaks; what owns it is released.
    leaked = re.findall(r"never released: serial \d+, (\d+) bytes", done.stdout)
    assert leaked == ["64"]


def test_no_core_is_left_of_a_dump_that_fails(template: Template, tmp_path: Path) -> None:
    assert template
    core = tmp_path / "core"
    words = ["-m", "freeonce", "dump", str(core), "c/nothing"]
    done = subprocess.run([sys.executable, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no scenario is called 'c/nothing'" in done.stderr
    assert not core.exists()


def test_gdb_stands_before_the_vmrun_of_a_scenario(start: Start) -> None:
    debug = start("debug", "svm/vmrun_exits", "--at-vmrun", "--gdb", "gdb -q -nx")
    debug.expect_exact("freeonce_svm_run (vcpu=0x")
    debug.expect_exact("(gdb) ")
    # The module's own types and source, and the kernel's names.
    debug.sendline("ptype vcpu")
    debug.expect_exact("struct vcpu {")
    debug.expect_exact("(gdb) ")
    debug.sendline("info source")
    debug.expect_exact("guest/instrument/cpu/vcpu.c")
    debug.expect_exact("(gdb) ")
    debug.sendline("info symbol start_kernel")
    debug.expect_exact("start_kernel in section .text of ")
    debug.expect_exact("(gdb) ")
    debug.sendline("backtrace")
    debug.expect_exact(" scenario_run (")
    debug.expect_exact("(gdb) ")
    guest = guest_of(debug)
    debug.sendline("quit")
    debug.expect(pexpect.EOF)
    nothing_left(*guest)


def test_gdb_stands_before_the_scenario(start: Start) -> None:
    debug = start("debug", "c/pool", "--gdb", "gdb -q -nx -batch -ex 'print name'")
    debug.expect(r'hit Breakpoint 1, scenario_run \(name=[^\n]*?"c/pool"')
    debug.expect(r'= 0x[0-9a-f]+ "c/pool"')
    debug.expect(pexpect.EOF)
    debug.close()
    assert debug.exitstatus == 0


def test_without_gdb_the_command_is_told(start: Start) -> None:
    debug = start("debug", "c/pool", "--gdb", "no-such-gdb -q")
    debug.expect(r"no-such-gdb -x /tmp/freeonce-\w+/commands.gdb -q")
    debug.expect_exact("Press a key")
    guest = guest_of(debug)
    debug.send("x")
    debug.expect(pexpect.EOF)
    nothing_left(*guest)


def prompted(start: Start) -> "pexpect.spawn[str]":
    """A shell on a guest that waits for a verb."""
    shell = start("shell")
    shell.expect_exact(PROMPT)
    return shell


def attached(start: Start, shell: "pexpect.spawn[str]") -> "pexpect.spawn[str]":
    """A second terminal, on the console of the shell's guest; its prompt was asked for."""
    console = start("console", f"shell-{shell.pid}")
    console.expect_exact("Ctrl-] detaches")
    console.send("\r")
    console.expect_exact("# ")
    return console


def test_a_console_is_attached_to_and_detached_from(start: Start) -> None:
    shell = prompted(start)
    console, another = attached(start, shell), attached(start, shell)
    # The kernel's line editing: a key taken back. Ctrl-C ends a command and not us.
    console.send("uname -nx\x7f; echo $((6 * 7))\r")
    for one in (console, another):
        one.expect_exact("(none)\r\n42\r\n")
    # Said by what Ctrl-C is to end: the echo comes before anything runs.
    console.send("sh -c 'echo $((40 + 3)); exec sleep 600'\r")
    console.expect_exact("43\r\n")
    console.sendintr()
    console.expect_exact("# ")
    console.send("echo '<0>from the kernel' >/dev/kmsg\r")
    for one in (console, another):
        one.expect(r"\] from the kernel")
    console.send("\x1d")
    console.expect_exact("detached; the guest runs on")
    console.expect(pexpect.EOF)
    console.close()
    assert console.exitstatus == 0
    # Neither the guest nor its owner noticed; and from the owner's prompt it is the same console.
    assert "c/pool: clean, as expected" in ask(shell, "run c/pool") + ask(shell, "audit")
    shell.sendline("console")
    shell.expect_exact("Ctrl-] detaches")
    shell.expect_exact("from the kernel")
    shell.send("echo by the owner\r")
    another.expect_exact("\r\nby the owner\r\n")
    shell.send("\x1d")
    shell.expect_exact("detached")
    shell.expect_exact(PROMPT)
    guest = guest_of(shell)
    shell.sendline("exit")
    another.expect_exact("the guest is gone")
    another.expect(pexpect.EOF)
    nothing_left(*guest)


def test_owner_and_others_hear_a_guest_end(start: Start) -> None:
    shell = prompted(start)
    console = attached(start, shell)
    shell.sendline("run postmortem/panic")
    shell.expect_exact("the guest was lost")
    shell.expect_exact("Kernel panic")
    shell.expect_exact(PROMPT)
    console.expect_exact("Kernel panic")
    shell.sendline("fresh")
    shell.expect_exact("another guest")
    console.expect_exact("the guest is gone")
    console.expect(pexpect.EOF)
    again = attached(start, shell)
    again.send("\x1d")
    again.expect_exact("the guest runs on")


def test_the_guest_does_not_move_the_cursor_of_who_is_attached(start: Start) -> None:
    shell = prompted(start)
    console = attached(start, shell)
    console.send(r"printf 'a\033]0;title\007\033[2Jb\n'" + "\r")
    console.expect_exact("a]0;title[2Jb\r\n")


def test_a_console_of_a_guest_of_its_own(start: Start) -> None:
    console = start("console", "--new")
    console.expect_exact(f"The console of console-{console.pid}: Enter gives a shell")
    console.send("\r")
    console.expect_exact("# ")
    guest = guest_of(console)
    console.send("\x1d")
    console.expect_exact("detached; the guest goes")
    console.expect(pexpect.EOF)
    nothing_left(*guest)


def test_logging_in_to_the_guest_of_another(start: Start) -> None:
    shell = prompted(start)
    login = start("ssh", "--guest", f"shell-{shell.pid}")
    login.expect_exact("# ")
    login.sendline("echo c/pool >/sys/kernel/debug/freeonce/run")
    login.expect_exact("# ")
    login.sendline("exit 7")
    login.expect(pexpect.EOF)
    login.close()
    assert login.exitstatus == 7
    # It is the shell's own guest that ran it.
    assert re.search(r"begin +c/pool", ask(shell, "ledger"))


def test_a_guest_that_stands_under_gdb_is_said_to(start: Start) -> None:
    debug = start("debug", "--gdb", "gdb -q -nx")
    debug.expect_exact("(gdb) ")
    # On a booted guest: no breakpoint, the module's types and the kernel's names.
    debug.sendline("info breakpoints")
    debug.expect_exact("No breakpoints or watchpoints.")
    debug.expect_exact("(gdb) ")
    debug.sendline("ptype struct vcpu")
    debug.expect_exact("struct vcpu {")
    debug.expect_exact("(gdb) ")
    debug.sendline("info symbol start_kernel")
    debug.expect_exact("start_kernel in section .text of ")
    login = start("ssh", "--guest", f"debug-{debug.pid}", "true")
    login.expect_exact("may stand still: paused, or under gdb")
    login.expect(pexpect.EOF)
    login.close()
    assert login.exitstatus == 255


def test_to_stop_at_a_vmrun_a_scenario_is_named(start: Start) -> None:
    debug = start("debug", "--at-vmrun")
    debug.expect_exact("--at-vmrun stops in a scenario; name one")
    debug.expect(pexpect.EOF)
    debug.close()
    assert debug.exitstatus == 2


def test_logging_in(start: Start) -> None:
    login = start("ssh")
    login.expect_exact("# ")
    login.sendline("uname -n; head -c 8 /sys/kernel/debug/freeonce/ledger; tty")
    login.expect_exact("FREEONCE")
    login.expect_exact("/dev/pts/")
    guest = guest_of(login)
    login.sendline("exit 7")
    login.expect(pexpect.EOF)
    login.close()
    assert login.exitstatus == 7
    nothing_left(*guest)


def test_gdb_stands_where_an_acquisition_of_a_module_fails(start: Start) -> None:
    folder = Path(__file__).parents[1] / "length"
    words = ("--module", str(folder), "--params", "faulty=1", "--fail-point", "2")
    debug = start("debug", *words, "--gdb", "gdb -q -nx -batch")
    debug.expect("hit Breakpoint 1, acquisition_is_made_to_fail")
    # The first is lost at the begin; the module's own symbols came when it was loaded.
    debug.expect(r"some \(count=50\) at [^\n]*long_life\.c:\d+")
    debug.expect("long_life_init")
    debug.expect(pexpect.EOF)
    debug.close()
    assert debug.exitstatus == 0


def test_gdb_stands_where_an_allocation_of_a_scenario_fails(start: Start) -> None:
    debug = start("debug", "c/pool", "--fail-point", "1", "--gdb", "gdb -q -nx -batch -ex bt")
    debug.expect("hit Breakpoint 1, acquisition_is_made_to_fail")
    debug.expect(" scenario_run ")
    debug.expect(pexpect.EOF)
    debug.close()
    assert debug.exitstatus == 0
