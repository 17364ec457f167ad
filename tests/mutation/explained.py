"""Survivors that are the same program: what the files in `same/` say of them.

A file there has the name of the one that is mutated, and an entry `[[same]]` for each change:
`line` and `becomes` are the changed line, without its indentation; `operator` is cosmic-ray's name
of the change, or a pattern; `why` says why no test can notice. Without `becomes` it is every such
change of that line.
"""

import fnmatch
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).with_name("same")


@dataclass(frozen=True)
class Mutant:
    """What it changes: the file's line as it was and as it becomes."""

    file: str
    number: int
    line: str
    becomes: str
    operator: str

    def __str__(self) -> str:
        return f"{self.file}:{self.number} {self.operator}\n  - {self.line}\n  + {self.becomes}"


@dataclass
class Explained:
    """An entry: mutants that are the same program, and why. `file`: `audit/run.py`."""

    file: str
    line: str
    operator: str
    why: str
    becomes: str = "*"
    met: int = field(default=0, init=False)

    def matches(self, one: Mutant) -> bool:
        """`operator` and `becomes` may be patterns."""
        return (
            one.file.endswith(self.file)
            and one.line == self.line
            and fnmatch.fnmatchcase(one.operator, self.operator)
            and self.becomes in {"*", one.becomes}
        )


def explained() -> list[Explained]:
    """All entries."""
    found = []
    for path in sorted(FOLDER.rglob("*.toml")):
        file = str(path.relative_to(FOLDER).with_suffix(".py"))
        entries = tomllib.loads(path.read_text(encoding="utf-8"))["same"]
        found += [Explained(file, **one) for one in entries]
    return found
