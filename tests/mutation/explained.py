"""Survivors that are the same program: what `same.toml` says of them."""

import fnmatch
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

FILE = Path(__file__).with_name("same.toml")


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
    """An entry of same.toml: mutants that are the same program, and why."""

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
    return [Explained(**one) for one in tomllib.loads(FILE.read_text(encoding="utf-8"))["same"]]
