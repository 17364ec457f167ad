"""`make unsaid`: an instrument that never writes one type of record, for each in turn.

    python -m tests.unsaid PAGE [RECORD ...]      RECORD: `release`, or `kernel:release`

A verdict must notice: of some scenario that is not as expected then, or of a life. And no planted
fault may be clean but what is conceded. The page has what was really run; 1 where nobody noticed.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from freeonce.evidence.ledger import BY_KERNEL, Type, Witness
from freeonce.project.image import image_path

ROOT = Path(__file__).parents[2]
NAMES = ("fault/*", "c/*", "kernel/*", "module/*", "hypervisor/*", "svm/exit/c*", "svm/tlb/*")
LIFE = ("dummy", "--fail-each=load")
"""A module of the kernel's that is clean, and each of its failure points is handled."""
SECONDS = 900
PAGE = """# Unsaid

An instrument with a hole, built so that it never writes one type of record: a verdict must notice.
`make unsaid` builds an image for each type, runs scenarios in it, all planted faults among them,
and a life with failures, and writes this page.

`life` is the exit status of that life (0: as expected); `clean` are planted faults whose verdict
was clean.

| record | scenarios, and how many not as expected | life | clean |
|---|---|---|---|
{rows}

No verdict notices that these are missing:

{whys}"""
WORDS = "it only says where in the source something is: no verdict rests on it"
SELDOM = "these runs have none: it tells of a panic, of a blind instrument, or of others' VMRUNs"
UNNOTICED = {
    "unsupported": "what this CPU could not do looks as if it had been done, and was clean",
    **dict.fromkeys(
        ("subject", "section", "stack", "symbol", "kernel:stack", "kernel:symbol"), WORDS
    ),
    **dict.fromkeys(("panic", "blind", "kernel:blind", "page_freed"), SELDOM),
}
"""Records whose absence no verdict of these runs notices, and why."""


@dataclass(frozen=True)
class Record:
    """A type, of one witness."""

    type: Type
    witness: Witness

    @property
    def number(self) -> int:
        """As guest/instrument/ledger/ledger.c has it."""
        return self.type | self.witness << 8

    def __str__(self) -> str:
        name = self.type.name.lower()
        return name if self.witness is Witness.LEDGER else f"kernel:{name}"


@dataclass(frozen=True)
class Noticed:
    """What runs came to. `other`: scenarios not as expected; `life`: the status of the life's."""

    scenarios: int
    other: int
    life: int
    clean: tuple[str, ...]

    @property
    def any(self) -> bool:
        """Whether a verdict says that something is wrong."""
        return self.other > 0 or self.life != 0


def every() -> Iterator[Record]:
    """All that the instrument may write."""
    for kind in Type:
        if kind is not Type.WITNESS_ON:
            yield Record(kind, Witness.LEDGER)
        if kind in BY_KERNEL:
            yield Record(kind, Witness.KERNEL)


def run_in(image: Path, folder: Path, names: Sequence[str] = NAMES) -> Noticed:
    """Scenarios and a life in the guests of an image."""
    report = folder / "run.json"
    report.unlink(missing_ok=True)
    _freeonce(image, "run", *names, "--no-faults", "--json", str(report))
    # Without a template there is no run, and no report.
    scenarios = json.loads(report.read_text())["scenarios"] if report.exists() else []
    faults = (one for one in scenarios if one["name"].startswith("fault/") and one["expected"])
    return Noticed(
        scenarios=len(scenarios),
        other=sum(not one["as_expected"] for one in scenarios) if scenarios else 1,
        life=_freeonce(image, "audit", *LIFE),
        clean=tuple(one["name"] for one in faults if one["verdict"] == "clean"),
    )


def _freeonce(image: Path, *words: str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "freeonce", *words],
        env=os.environ | {"FREEONCE_IMAGE": str(image)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode not in (0, 1, 4):
        sys.exit(f"unsaid: {' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return done.returncode


def without(record: Record, base: Path, folder: Path, names: Sequence[str] = NAMES) -> Noticed:
    """The same with an instrument that never writes it."""
    image = folder / "image"
    recipe = (ROOT / "images/unsaid.sh", ROOT / "build/rust-toolchain.json", base.parent)
    subprocess.run([*recipe, str(record.number), image], check=True, stdout=subprocess.DEVNULL)
    return run_in(image / base.name, folder, names)


def page(found: dict[str, Noticed]) -> str:
    """The table, and why some are noticed by nobody."""
    rows = (
        f"| {name} | {one.scenarios}, {one.other} | {one.life} | {', '.join(one.clean)} |"
        for name, one in found.items()
    )
    unnoticed = (name for name, one in found.items() if not one.any)
    whys = (f"- {name}: {UNNOTICED.get(name, 'not known why')}.\n" for name in unnoticed)
    return PAGE.format(rows="\n".join(rows), whys="".join(whys))


def main(words: Sequence[str]) -> int:
    """All records, or those that are named."""
    target, chosen = Path(words[0]), set(words[1:])
    if unknown := chosen - {str(one) for one in every()}:
        sys.exit(f"unsaid: there is no record {', '.join(sorted(unknown))}")
    base = image_path().resolve()
    found: dict[str, Noticed] = {}
    with tempfile.TemporaryDirectory(prefix="unsaid-") as scratch:
        if run_in(base, Path(scratch)).any:
            sys.exit("unsaid: not all is as expected where all is written")
        for record in every():
            if chosen and str(record) not in chosen:
                continue
            begin = time.monotonic()
            found[str(record)] = one = without(record, base, Path(scratch))
            print(f"{time.monotonic() - begin:4.0f} s  {record}: {one}", flush=True)
            target.write_text(page(found))
    unnoticed = {name for name, one in found.items() if not one.any} - UNNOTICED.keys()
    for name in sorted(unnoticed):
        print(f"unsaid: no verdict notices that there is no {name}", file=sys.stderr)
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
