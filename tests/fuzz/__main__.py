"""Fuzz by coverage: `python -m tests.fuzz [--seconds N] [--found FOLDER] [TARGET ...]`.

Each target has an equal share of the time. What crashes, hangs or eats memory is written to
the folder of what was found, and ends this with status 1. In the end it is told how much of what
reads from a guest the inputs reach.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

NAMES = ("ledger", "table", "account", "control", "console", "module", "packed", "tables")
FOUND = Path("build/fuzz")


def main() -> int:
    """Fuzz the targets one after the other, each in a process of its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=3600, help="in all")
    parser.add_argument("--found", type=Path, default=FOUND)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", default=list(NAMES))
    asked = parser.parse_args()
    if asked.one:
        _fuzz(asked.one, asked.seconds, asked.found)
    each = max(asked.seconds // len(asked.targets), 1)
    failed = [name for name in asked.targets if not _apart(name, each, asked.found)]
    print(
        f"fuzz: {len(asked.targets)} targets, {each} s each; failed: {failed or 'none'}", flush=True
    )
    # In a process of its own: nothing of freeonce may be loaded before it is measured.
    subprocess.run([sys.executable, "-m", "tests.fuzz.covered", str(asked.found)], check=True)
    return 1 if failed else 0


def _apart(name: str, seconds: int, found: Path) -> bool:
    """Whether a target held."""
    command = [sys.executable, "-m", "tests.fuzz", "--one", name]
    command += ["--seconds", str(seconds), "--found", str(found)]
    return subprocess.run(command, check=False).returncode == 0


def _fuzz(name: str, seconds: int, found: Path) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris  # noqa: PLC0415

    # What is loaded in here is counted: before it nothing of freeonce may be.
    with atheris.instrument_imports(include=["freeonce"]):
        from tests.fuzz.targets import (  # noqa: PLC0415
            LONGEST,
            MEGABYTES,
            SECONDS,
            TARGETS,
            corpus,
        )
    for folder in (found / name, found / "crashes"):
        folder.mkdir(parents=True, exist_ok=True)
    argv = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-timeout={SECONDS}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-max_len={LONGEST.get(name, 4096)}",
        f"-artifact_prefix={found / 'crashes' / name}-",
        "-print_final_stats=1",
        str(found / name),
        *(sorted({str(file.parent) for file in corpus(name)})),
    ]
    atheris.Setup(argv, TARGETS[name], **_mutator(name))
    atheris.Fuzz()


def _mutator(name: str) -> dict[str, Callable[[bytes, int, int], bytes]]:
    """Of the ledger half of the changes are by records."""
    if name != "ledger":
        return {}
    import atheris  # noqa: PLC0415

    from tests.fuzz.mutator import mutate  # noqa: PLC0415

    def either(data: bytes, most: int, seed: int) -> bytes:
        if seed % 2:
            return mutate(data, most, seed)
        return bytes(atheris.Mutate(data, most))

    return {"custom_mutator": either}


if __name__ == "__main__":
    sys.exit(main())
