"""A guest may say what it likes: no CI runner obeys it."""

import pytest

from freeonce.cli import main
from freeonce.errors import GuestLost
from freeonce.evidence.quote import quoted

OBEYED = (
    "::error file=a.py,line=1::ours",
    "   ::set-output name=x::y",
    "[    1.0] ##[error]not ours",
    "##vso[task.setvariable variable=x]y",
    "##teamcity[testFailed name='x']",
)


def obeyed(line: str) -> bool:
    """As the runners read it: the first at a line's start, the others wherever they stand."""
    return line.lstrip().startswith("::") or any(
        mark in line for mark in ("##[", "##vso[", "##teamcity[")
    )


@pytest.mark.parametrize("said", OBEYED)
def test_no_line_is_a_command(said: str) -> None:
    assert obeyed(said)
    lines = quoted(f"first\n{said}\n").splitlines()
    assert len(lines) == 2
    assert not any(map(obeyed, lines))


def test_what_is_no_command_is_as_it_was() -> None:
    assert quoted("## heading\na ## b [c]") == "guest: ## heading\nguest: a ## b [c]"


def test_the_last_lines_of_a_lost_guest_are_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main._report(GuestLost("gone", "\n".join(OBEYED))) == 4
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 + len(OBEYED)
    assert not any(map(obeyed, lines))
