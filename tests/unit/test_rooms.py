"""The rooms of the instrument: each has one header to others, and arrows point down."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTRUMENT = ROOT / "guest/instrument"
MAP = re.findall(r"`\.\.\./(\w+)/`", (ROOT / "ARCHITECTURE.md").read_text())
"""As ARCHITECTURE.md has them, the lowest first."""
INCLUDE = re.compile(r'^#include "(?:(\w+)/)?(\w+\.h)"', re.MULTILINE)
FORMAT = ("ledger", "format.h")
"""The wire format is for everybody, outside of the kernel too."""


def test_the_map_names_all_rooms() -> None:
    folders = {path.name for path in INSTRUMENT.iterdir() if path.is_dir()}
    assert sorted(MAP) == sorted(folders)


@pytest.mark.parametrize("room", MAP)
def test_a_room_includes_only_what_lies_below_it(room: str) -> None:
    below = MAP[: MAP.index(room)]
    for path in (INSTRUMENT / room).iterdir():
        for other, header in INCLUDE.findall(path.read_text()):
            if other == room or (other, header) == FORMAT:
                continue
            assert other in below, f"{path.name} includes {other}/{header}"
            assert header == f"{other}.h", f"{path.name} includes what {other} keeps to itself"


def test_what_the_instrument_offers_bears_its_name() -> None:
    exported = [
        name
        for path in INSTRUMENT.rglob("*.c")
        for name in re.findall(r"EXPORT_SYMBOL\w*\((\w+)\)", path.read_text())
    ]
    assert exported
    windows = re.findall(r"\b((?:Ex|Mm)\w+)\(", (INSTRUMENT / "families/windows.h").read_text())
    # images/wrappers.py defines WRAP_... to be freeonce_wrap_... of this kernel's name.
    others = [name for name in exported if not name.startswith(("freeonce_", "WRAP_"))]
    assert sorted(others) == sorted(windows)
