"""The page that `make transcript` writes, and who writes it."""

import re
from pathlib import Path

import pytest

from tests.transcript.__main__ import page
from tests.transcript.stranger import ROOT, Said, Stranger, way

HOME = Path("/tmp/somebody")


def test_every_word_is_kept_with_its_time() -> None:
    said = [
        Said("cd mine", False, "", 0.0),
        Said("freeonce run", False, "one\ntwo\n", 1.25),
        Said("freeonce run", True, "two\n", 0.5),
    ]
    text = page(said, HOME, "Last run: now.")
    first, second = re.findall(r"^```text\n(.*?)^```", text, re.M | re.S)
    assert first == "$ cd mine\n\n$ freeonce run\none\ntwo\n(1.2 s)\n"
    assert second == "$ freeonce run\ntwo\n(0.5 s)\n"


@pytest.mark.parametrize("path", [str(ROOT), f"{Path.home()}/x"])
def test_nothing_of_this_machine_is_kept(path: str) -> None:
    with pytest.raises(AssertionError, match="of this machine"):
        page([Said("pwd", False, path, 0.1)], HOME, "")


def test_the_page_has_what_is_led_today() -> None:
    text = (ROOT / "docs/installed.md").read_text()
    assert re.findall(r"^\$ (.+)$", text, re.M) == [command for command, _ in way()]
    # No second goes by without words, or nobody was there.
    assert text.count(" s)\n") == sum(not command.startswith("cd ") for command, _ in way())


def test_the_page_tells_what_came_out_and_offline_the_same() -> None:
    text = (ROOT / "docs/installed.md").read_text()
    online, offline = re.findall(r"^```text\n(.*?)^```", text, re.M | re.S)
    for part in (online, offline):
        for words in ("2 scenarios: 2 clean", "note: clean", "3 passed"):
            assert words in part
    assert "compiling" in online
    assert not re.search(" $", text, re.M)
    for words in ("images: ", "compiling"):
        assert words not in offline


def test_a_stranger_knows_nothing_of_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEONCE_IMAGE", "/ours")
    monkeypatch.setenv("XDG_CACHE_HOME", "/ours")
    stranger = Stranger(tmp_path / "home")
    said = stranger.do('echo "$HOME $FREEONCE_IMAGE$XDG_CACHE_HOME"; ls')
    assert said.words == f"{tmp_path}/home \n"
    with pytest.raises(AssertionError, match="false: 1"):
        stranger.do("false")
