"""The inner run: freeonce in the outer machine, choosing KVM by itself."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from freeonce.deadline import PATIENCE_VARIABLE, patience
from freeonce.errors import CommandFailed, EvidenceError
from freeonce.evidence.quote import quoted
from freeonce.project.host import QEMU_VARIABLE, Qemu
from freeonce.project.image import PATH_VARIABLE, OuterImage
from freeonce.survey.lane.argv import SCRATCH, OuterConfig
from freeonce.survey.lane.differences import parse_run
from freeonce.survey.lane.outer import Left, run_in_outer

SLOWER = 5
"""How many times as slow as its host the outer machine may be; 3 was seen on an idle one."""
REPORTED = (0, 1, 4)
"""Exit statuses of `freeonce run` with which it wrote its JSON."""
FILE = "run.json"


def command(patterns: Sequence[str]) -> list[str]:
    """`freeonce run` for the outer machine, by the Python that runs us."""
    # What is tested is KVM; clones would only cost time.
    options = ["--accel", "auto", "--shared-guest", "--json", str(SCRATCH / FILE)]
    # With names the planted faults would run beside them, and not be compared.
    named = ["--no-faults", "--", *patterns] if patterns else []
    return [sys.executable, "-m", "freeonce", "run", *options, *named]


def environment(image: Path, qemu: Qemu) -> dict[str, str]:
    """What the run inside needs to know, and nothing else of our own environment."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        PATH_VARIABLE: str(image.absolute()),
        QEMU_VARIABLE: qemu.path,
        PATIENCE_VARIABLE: f"{SLOWER * patience():g}",
    }


def run_inside(
    outer: OuterImage,
    image: Path,
    qemu: Qemu,
    patterns: Sequence[str],
    *,
    seconds: float,
    told: Callable[[str], None],
) -> dict[str, object]:
    """The JSON of a run under KVM in an outer machine. `image`: the guest's manifest.

    Raises CommandFailed when the run wrote none, EvidenceError when it took another
    accelerator, and as `run_in_outer`.
    """
    left = run_in_outer(
        OuterConfig(qemu.path, outer),
        command(patterns),
        environment(image, qemu),
        file=FILE,
        seconds=seconds,
        told=told,
    )
    return under_kvm(document_of(left))


def document_of(left: Left) -> dict[str, object]:
    """The JSON that the run left. Raises CommandFailed, with its last words, or EvidenceError."""
    if left.status not in REPORTED or left.file is None:
        wrote = "and wrote no report" if left.file is None else "which reports nothing"
        message = f"freeonce in the outer machine ended with status {left.status} {wrote}"
        raise CommandFailed(f"{message}; its last lines:\n{quoted(left.console)}")
    return parse_run(left.file)


def under_kvm(document: dict[str, object]) -> dict[str, object]:
    """The same document. Raises EvidenceError when another accelerator than KVM was chosen."""
    host = document.get("host")
    chosen = host.get("accelerator") if isinstance(host, dict) else None
    if chosen != "kvm":
        reason = host.get("reason") if isinstance(host, dict) else "it does not say why"
        raise EvidenceError(f"freeonce chose {chosen}, not kvm, by itself: {reason}")
    return document
