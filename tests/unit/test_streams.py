"""How the program ends when the host refuses it its own streams or files."""

import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from freeonce.byhand.prompt import Prompt
from freeonce.byhand.session import Session
from freeonce.errors import HostError

VERB = """
import sys
from freeonce.cli import main
def verb(**_):
    {work}
main.verbs.main = verb
main.main()
"""


def program(
    work: str, shell: str = '"$@"', **environment: str
) -> "subprocess.CompletedProcess[str]":
    """The program with a verb that does this, called by a line of shell."""
    command = ["/bin/sh", "-c", shell, "sh", sys.executable, "-c", VERB.format(work=work)]
    return subprocess.run(
        command,
        capture_output=True,
        encoding="latin-1",
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("words", ["print('x' * 100)", "print('x' * 100_000)"])
def test_an_output_without_room_is_the_hosts_matter(words: str) -> None:
    done = program(words, '"$@" >/dev/full')
    assert done.returncode == 3
    assert done.stderr == "freeonce: host-refused: No space left on device\n"


@pytest.mark.parametrize("words", ["print('x' * 100)", "print('x' * 1_000_000)"])
def test_a_reader_that_left_is_told_of_and_no_verdict(words: str) -> None:
    done = program(words, '{ sleep 0.5; "$@"; echo "status $?" >&2; } | true')
    told, status = done.stderr.splitlines()
    assert "the reader" in told
    assert status == "status 3"


def test_a_file_that_the_host_refuses_is_named() -> None:
    done = program("open('/proc/none', 'w')")
    assert done.returncode == 3
    assert done.stderr.startswith("freeonce: host-refused: /proc/none: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_that_comes_when_all_is_over_is_not_the_status(name: str) -> None:
    # Modules are taken apart when Python has its signals' default actions back.
    done = program(
        "import os, signal\n"
        "    class Late:\n"
        f"        def __del__(self, kill=os.kill, us=os.getpid(), number=signal.{name}):\n"
        "            kill(us, number)\n"
        "    sys.modules['__main__'].late = Late()\n"
        "    return 4"
    )
    assert (done.returncode, done.stderr) == (4, "")


def test_what_a_terminal_cannot_show_is_an_escape() -> None:
    done = program("print('\u2192', 'naïve')", PYTHONIOENCODING="latin-1:strict", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("\\u2192")


def test_no_file_is_opened_as_a_standard_stream() -> None:
    """QEMU would take its own for them."""
    look = "import os; number = os.open('/', os.O_RDONLY); sys.exit(40 + number)"
    done = program(look, '"$@" <&- >&- 2>&-')
    assert done.returncode > 42


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_with_a_standard_stream_closed_the_verdict_is_the_status(closed: str) -> None:
    work = """from freeonce.cli.output import STDOUT, Out, write
    write(STDOUT, "said")
    Out().print("said")
    Out(stderr=True).print("said")
    sys.stdin.read()
    return 4"""
    done = program(work, f'"$@" </dev/null {closed}')
    assert done.returncode == 4


def test_a_shell_without_a_home_keeps_no_history_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/none")
    monkeypatch.setattr(Prompt, "_completer_setup", lambda _: None)
    monkeypatch.setattr(Prompt, "_save_history", lambda _: None)
    monkeypatch.setattr("builtins.input", lambda _: "exit")
    Prompt(cast(Session, None)).loop()
    assert capsys.readouterr().err.startswith("no history is kept: /proc/none")


def test_an_account_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    with pytest.raises(HostError, match="set HOME"):
        Prompt(cast(Session, None))
