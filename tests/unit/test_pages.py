"""The pages in docs/: every rule and verdict has its place, and every link leads somewhere."""

import re
from pathlib import Path

import click
import pytest

from freeonce.audit.model import Rule, Verdict
from freeonce.byhand.verbs import VERBS
from freeonce.cli.main import verbs

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def sections(page: str) -> dict[str, str]:
    parts = re.split(r"^## (.*)\n", (ROOT / "docs" / page).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_rule_has_its_section_and_no_other_has() -> None:
    told = sections("rules.md")
    assert [name for name in told if name != "Verdicts"] == sorted(
        (str(rule) for rule in Rule), key=list(told).index
    )
    assert all(len(text.split()) > 5 for text in told.values())


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_has_its_line(verdict: Verdict) -> None:
    assert f"| `{verdict}` |" in sections("rules.md")["Verdicts"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    gone = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert gone == []


def test_the_verbs_of_the_pages_are_those_there_are() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"^ {4}(?:\$ )?(?:\.venv/bin/)?freeonce (\w+)", text, re.MULTILINE))
    assert named <= set(verbs.list_commands(click.Context(verbs)))
    # Those for developers have their place in `make` and CONTRIBUTING.md.
    assert set(verbs.list_commands(click.Context(verbs))) - named == {"compare"}


def test_every_verb_of_the_shell_has_its_line() -> None:
    table = (ROOT / "docs/by-hand.md").read_text()
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    told = {name.split()[0] for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    assert told == set(VERBS)
