"""Every target by its name, and the bounds that hold for one input."""

from collections.abc import Callable
from pathlib import Path

from tests.fuzz import files, ledgers, texts

CORPUS = Path(__file__).parent / "corpus"

TARGETS: dict[str, Callable[[bytes], None]] = {
    "ledger": ledgers.judge_and_report,
    "table": texts.table,
    "account": texts.account,
    "control": texts.control,
    "console": texts.console,
    "module": files.module,
    "packed": files.packed,
    "tables": files.tables,
}
MEGABYTES = 1536
"""What a fuzzer may use, all libraries and its own corpus in it."""
SECONDS = 60
"""For one input of at most LONGEST bytes, instrumented, on a busy machine."""
LONGEST = {"ledger": 16384, "table": 4096, "module": 16384, "tables": 16384}


def corpus(name: str) -> list[Path]:
    """The inputs that are kept for a target."""
    return sorted((CORPUS / name).glob("*"))
