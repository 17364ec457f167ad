"""docs/your-project.md, followed by somebody who has a wheel, an empty folder and another HOME."""

import re
from pathlib import Path

import pytest

from tests.transcript.stranger import CACHE, PAGE, ROOT, Said, Stranger, way


def python_blocks() -> str:
    """All of the page, as one file."""
    return "\n\n".join(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S))


def summary(said: Said) -> list[str]:
    """What a verb came to, without how long it took."""
    return re.findall(r"\d+ scenarios: .*|^\w+: clean.*|\d+ passed", said.words, re.M)


@pytest.mark.long
def test_the_page_leads_from_a_wheel_to_findings(tmp_path: Path) -> None:
    stranger = Stranger(tmp_path / "home")
    online: dict[str, Said] = {}
    offline: dict[str, Said] = {}
    # `pytest -rP` shows what is printed.
    for command, without_network in way():
        said = stranger.do(command, without_network)
        (offline if without_network else online)[command] = said
    assert "2 scenarios: 2 clean" in online["freeonce run"].words
    assert "note: clean" in online["freeonce audit"].words
    assert "3 passed" in online["pytest"].words
    kept = offline.pop(CACHE).words
    assert f"{stranger.home}/.cache/freeonce/" in kept
    assert str(ROOT) not in kept
    # A second time nothing is downloaded, and nothing made again.
    for command, said in offline.items():
        assert summary(said) == summary(online[command])
        assert "images: " not in said.words
        assert "compiling" not in said.words
    # What else the page has of tests, as it stands.
    (stranger.folder / "tests/test_page.py").write_text(python_blocks())
    assert "6 passed" in stranger.do("pytest").words
