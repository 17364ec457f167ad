"""The rooms of the package, and which may import which: arrows point one way."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import freeonce

PACKAGE = Path(freeonce.__file__).parent

BASE = ("beside", "deadline", "errors", "given")
PURE = ("evidence", "audit", "subject", *BASE)
MACHINE = ("machine", "project.image", "project.host", *BASE)
GUEST = ("guest", "project", *MACHINE, *PURE)
RUN = ("run", *GUEST)

ALLOWED: dict[str, tuple[str, ...]] = {
    "errors": (),
    "beside": ("deadline", "errors"),
    "deadline": ("errors",),
    "given": ("errors",),
    "project.host": BASE,
    "project.file": ("project.schema", "errors", "given"),
    "project.schema": ("project.machine", "errors"),
    "project.machine": ("errors",),
    "project.platform": (),
    "project.sources": (),
    "project.cache": ("project.sources",),
    "project.image": ("errors", "given", "project.cache"),
    "project": ("project", *MACHINE),
    "machine": ("machine", "project.host", "evidence.text", "evidence.quote", *BASE),
    "subject": ("subject", "evidence", *BASE),
    "evidence": ("evidence", "errors"),
    "audit": ("audit", "evidence", "errors"),
    "report": ("report", *PURE),
    "guest": ("guest", "subject", "evidence", "project", *MACHINE),
    "run": RUN,
    "survey": ("survey", "report", *PURE, *MACHINE),
    "byhand": ("byhand", "report", *RUN),
    "testing": ("testing", "report", *RUN),
    "campaign": ("campaign", "report", *RUN),
    "cli": ("cli", "byhand", "campaign", "survey", "report", *RUN),
    "__main__": ("cli",),
    "bench": ("bench", "report", *RUN),
}
"""What each room may import: rooms, or files of them. Of two lines the longer name counts."""


def name_of(file: Path) -> str:
    """Of a module, from the package on: `audit.rules`; a package's own file has the package's."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def imports(file: Path) -> Iterator[str]:
    """Every module of ours that a file imports, wherever it does, also for types alone."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports by a relative name"
            for one in node.names:
                full = f"{node.module}.{one.name}"
                ours = full.removeprefix("freeonce.") in MODULES
                yield full if ours else str(node.module)


def ours(file: Path) -> Iterator[str]:
    for full in imports(file):
        name = full.removeprefix("freeonce.")
        if full != name and name in MODULES:
            yield name


def within(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def room_of(name: str) -> str:
    return max((room for room in ALLOWED if within(name, room)), key=len, default="")


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_arrows_point_one_way(name: str) -> None:
    room = room_of(name)
    assert room, f"{name} stands in no room that has a line in ALLOWED"
    wrong = {
        other
        for other in ours(MODULES[name])
        if not any(within(other, one) for one in ALLOWED[room])
    }
    assert not wrong, f"{name} may not import these"


def test_no_two_rooms_import_each_other() -> None:
    """The table itself: with it no circle of rooms can be."""
    above: dict[str, set[str]] = {
        room: {other for other in ALLOWED if any(within(other, one) for one in may)} - {room}
        for room, may in ALLOWED.items()
    }
    # The files of a room that have a line of their own lie below the rest of it.
    while free := {room for room, others in above.items() if not others & above.keys()}:
        for room in free:
            del above[room]
    assert not above, f"a circle among {', '.join(above)}"


def test_every_line_of_the_table_is_used() -> None:
    rooms = {room_of(name) for name in MODULES}
    assert ALLOWED.keys() - rooms == set()


@pytest.mark.parametrize("module", ["report.junit", "report.sarif", "report.html", "audit.audit"])
def test_what_is_pure_loads_no_machine(module: str) -> None:
    """Not through others either: asked of a Python that imports nothing else."""
    asked = (
        f"import sys, freeonce.{module}; "
        "print(*sorted(sys.modules.keys() & {'asyncio', 'pexpect', 'qemu', 'paramiko'}), "
        "*sorted(one for one in sys.modules if one.startswith("
        "('freeonce.machine', 'freeonce.guest', 'freeonce.run'))))"
    )
    said = subprocess.run(
        [sys.executable, "-c", asked], check=True, capture_output=True, text=True
    ).stdout
    assert said.strip() == ""
