"""How much of what reads from a guest the inputs reach: `python -m tests.fuzz.covered FOLDER`.

Each input of the kept corpus and of FOLDER is played once, and what of evidence, audit and report
ran is told: lines and branches, by the coverage library.
"""

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import coverage

PACKAGES = ("freeonce.evidence", "freeonce.audit", "freeonce.report")


def main(found: Path) -> None:
    """Play all inputs and print a line a package."""
    seen = coverage.Coverage(data_file=None, branch=True, source=list(PACKAGES))
    with seen.collect():
        # What is loaded in here is counted.
        from tests.fuzz.targets import TARGETS, corpus  # noqa: PLC0415

        inputs = 0
        for name, play in TARGETS.items():
            for file in (*corpus(name), *sorted((found / name).glob("*"))):
                play(file.read_bytes())
                inputs += 1
    with tempfile.NamedTemporaryFile("r", suffix=".json") as told:
        seen.json_report(outfile=told.name)
        files = json.load(told)["files"]
    print(f"fuzz: {inputs} inputs reach")
    for package in PACKAGES:
        print(f"fuzz: {share(files, package)}")


def share(files: Mapping[str, Any], package: str) -> str:
    """Of a package: lines and branches that ran, of those there are. `files`: coverage's report."""
    folder = package.replace(".", "/") + "/"
    numbers: Counter[str] = Counter()
    for name, about in files.items():
        if folder in name:
            numbers.update(about["summary"])
    lines = f"{numbers['covered_lines']} of {numbers['num_statements']} lines"
    return (
        f"{package}: {lines}, {numbers['covered_branches']} of {numbers['num_branches']} branches"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
