"""The pages in docs/: every rule and verdict has its place, and every link leads somewhere."""

import re
from pathlib import Path

import pytest

from freeonce.audit.model import Rule, Verdict

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
