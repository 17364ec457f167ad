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


def test_no_file_is_opened_as_a_standard_stream() -> None:
    """QEMU would take its own for them."""
    look = "import os; number = os.open('/', os.O_RDONLY); sys.exit(40 + number)"
    done = program(look, '"$@" <&- >&- 2>&-')
    assert done.returncode > 42


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
