"""Leads a stranger from a wheel to findings, twice, and writes down every word.

Usage: python -m tests.transcript PAGE
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from freeonce.project.setting import find_setting
from tests.transcript.stranger import ROOT, Said, Stranger, way, written


def page(all_said: list[Said], home: Path, about: str) -> str:
    """The transcript. Raises AssertionError when it tells more of this machine than that HOME."""
    online = [written(said) for said in all_said if not said.offline]
    offline = [written(said) for said in all_said if said.offline]
    lines = [
        "# Installed, word by word",
        "",
        "`make transcript` writes this page: what [your-project.md](your-project.md) begins with,",
        f"by somebody whose HOME is `{home}`, in an empty folder there, with `~/venv/bin` first",
        "in `PATH`. `$CLONE` is freeonce's clone, which only the wheel is made of. Under each",
        "command stands all that it printed, and how long it took. `tests/guest/test_installed.py`",
        "goes the same way, and says what must come out.",
        "",
        about,
        "",
        "## From a wheel to findings",
        "",
        "```text",
        "\n".join(online).rstrip(),
        "```",
        "",
        "## The same again, offline",
        "",
        "Each in a network namespace of its own with nothing but the loopback, which leads to the",
        "guest (`unshare --map-root-user --net`).",
        "",
        "```text",
        "\n".join(offline).rstrip(),
        "```",
    ]
    text = "\n".join(lines) + "\n"
    for ours in (str(ROOT), str(Path.home()) + "/"):
        assert ours not in text, f"{ours} is of this machine"
    return text


def main(file: str) -> None:
    """Lead them; the page is written when all went well."""
    home = Path(tempfile.gettempdir()) / "somebody"
    stranger = Stranger(home)
    try:
        all_said = [stranger.do(command, offline) for command, offline in way()]
    finally:
        shutil.rmtree(home)
    host = find_setting("auto").document()
    load = ", ".join(f"{load:.0f}" for load in os.getloadavg())
    about = (
        f"Last run: Python {sys.version.split()[0]}, QEMU {host['qemu']} ({host['accelerator']}), "
        f"{os.cpu_count()} cores,\nload at the end {load} (1, 5 and 15 minutes)."
    )
    Path(file).write_text(page(all_said, home, about))


if __name__ == "__main__":
    main(*sys.argv[1:])
