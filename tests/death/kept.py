"""What was played until now, of one version of the harness, and the page of it."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import freeonce
from freeonce.project.setting import Setting

ROOT = Path(__file__).parents[2]
WORDS = 300
"""Of what was wrong in a play; all of it is in what is kept."""
FOUND = "## What was found"
"""What stands from here on in the page was written by hand, and stays."""


def version(setting: Setting) -> str:
    """Of all that a play depends on: other files, other rows."""
    digest = hashlib.sha256()
    for folder in (Path(freeonce.__file__).parent, Path(__file__).parent):
        for file in sorted(folder.rglob("*.py")):
            digest.update(file.read_bytes())
    digest.update(setting.image.manifest.read_bytes())
    digest.update(f"{setting.qemu.version} {sys.version}".encode())
    return digest.hexdigest()[:16]


def commit() -> str:
    """The one that the files are of."""
    head = _git("rev-parse", "--short", "HEAD")
    return f"{head}, changed since" if _git("status", "--porcelain", "harness") else head


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@dataclass
class Row:
    """A scene: `moments` at which it was played, in seconds, how often it was over before."""

    moments: list[float] = field(default_factory=list)
    late: int = 0
    tries: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, number: int, moment: float | None, wrong: tuple[str, ...]) -> None:
        """What came of a try."""
        if moment is None:
            self.late += 1
        else:
            self.moments.append(round(moment, 4))
        when = "over before" if moment is None else f"at {moment:.3f} s"
        if wrong:
            self.wrong.append(f"try {number}, {when}: {'; '.join(wrong)}")

    def span(self) -> str:
        """The first moment, the quarters between, and the last."""
        ordered = sorted(self.moments)
        if not ordered:
            return ""
        last = len(ordered) - 1
        if not last:
            return f"{ordered[0]:.2f}"
        return ", ".join(f"{ordered[last * part // 4]:.2f}" for part in range(5))


@dataclass
class Kept:
    """All of them. `seconds`: that were played for."""

    version: str
    seed: int
    seconds: float = 0.0
    rows: dict[str, Row] = field(default_factory=dict)

    def row(self, name: str) -> Row:
        """A scene's."""
        return self.rows.setdefault(name, Row())

    def write(self, file: Path) -> None:
        """Whole or not at all."""
        scratch = file.with_suffix(".new")
        scratch.write_text(json.dumps(asdict(self)))
        scratch.replace(file)


def read(file: Path, now: str, seed: int) -> Kept:
    """What was kept of this version; nothing where that is of another."""
    if file.exists():
        told = json.loads(file.read_text())
        if told["version"] == now:
            rows = {name: Row(**row) for name, row in told.pop("rows").items()}
            return Kept(**told, rows=rows)
        print(f"death: {file} is of another version of the harness: all anew", file=sys.stderr)
    return Kept(now, seed)


def page(kept: Kept, about: str, before: str) -> str:
    """The page. `before`: as it was, of which the words at its end stay."""
    _, _, found = before.partition(FOUND)
    return "\n".join([*_lines(kept, about), FOUND + found if found else ""]).rstrip() + "\n"


def _lines(kept: Kept, about: str) -> Iterator[str]:
    yield from (
        "# Death",
        "",
        "Whoever dies, and whatever is full: every run ends within its deadline, with the right",
        "words and status, every other result is kept, and nothing is left 5 s later. `make death`",
        "kills at random moments and writes this page; `tests/guest/test_death.py` plays most of",
        "the scenes once.",
        "",
        about,
        "",
        "Moments are drawn from the time in which whoever is to die is there, as measured in lives",
        "that nobody disturbs, again and again. One that came when all was over is not counted as",
        "played.",
        "",
        "| who, or what | played | moments, s: first, quarters, last | over before | wrong |",
        "|---|---|---|---|---|",
    )
    for name, row in kept.rows.items():
        yield f"| {name} | {len(row.moments)} | {row.span()} | {row.late} | {len(row.wrong)} |"
    yield ""
    wrong = [
        f"- {name}: {one.replace(f'{ROOT}/', '')[:WORDS]}"
        for name, row in kept.rows.items()
        for one in row.wrong
    ]
    yield from ([*wrong, ""] if wrong else [])
