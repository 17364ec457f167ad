"""The program in a real pseudo-terminal: colour, width, completion."""

import os
import sys
from pathlib import Path

import pexpect
import pytest

PROGRAM = str(Path(sys.executable).with_name("freeonce"))
PLAIN = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}


def terminal(*arguments: str, columns: int = 80, **environment: str) -> str:
    """What the program prints to a terminal, with its control sequences."""
    env = {**PLAIN, "TERM": "xterm-256color", **environment}
    program = pexpect.spawn(
        PROGRAM, list(arguments), env=env, dimensions=(24, columns), encoding="utf-8", timeout=60
    )
    program.expect(pexpect.EOF)
    program.close()
    assert program.exitstatus == 0
    return str(program.before)


def test_colour_only_where_it_is_wanted() -> None:
    assert "\x1b[1;31m" in terminal("explain", "leak")
    plain = terminal("explain", "leak", NO_COLOR="1")
    # Bold is no colour.
    assert not any(f"{code}m" in plain for code in range(30, 38))


@pytest.mark.parametrize("columns", [30, 60])
def test_a_narrow_terminal_is_enough(columns: int) -> None:
    said = terminal("explain", columns=columns, NO_COLOR="1")
    lines = [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in said.splitlines()]
    assert max(len(line) for line in lines) <= columns


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("freeonce ru", "run"),
        ("freeonce explain dou", "double-free"),
        ("freeonce run --sa", "--sarif"),
        ("freeonce run --accel t", "tcg"),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes(words: str, offered: str, shell: str) -> None:
    *before, last = words.split()
    # The word to complete: fish names it, the others its place.
    word = last if shell == "fish" else str(len(before))
    environment = {"_FREEONCE_COMPLETE": f"{shell}_complete", "COMP_WORDS": words}
    assert offered in terminal(COMP_CWORD=word, **environment)  # type: ignore[arg-type]
