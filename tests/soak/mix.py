"""The scenarios that a soak runs in turns, and what each comes to by what its fault is."""

from collections.abc import Sequence
from dataclasses import dataclass

from freeonce.audit.model import Rule, Verdict
from freeonce.audit.result import Result
from freeonce.errors import Loss

Found = tuple[tuple[Rule, str], ...]
"""Rule and kind of allocation of each finding."""


@dataclass(frozen=True)
class Due:
    """What a scenario comes to. `loss`: how it loses its guest, as its lesson is."""

    found: Found = ()
    loss: Loss | None = None

    @property
    def verdict(self) -> Verdict:
        """A guest that is lost leaves it incomplete whatever was found."""
        if self.loss is not None:
            return Verdict.INCOMPLETE
        return Verdict.FAULTY if self.found else Verdict.CLEAN

    def __str__(self) -> str:
        found = [f"{rule} ({kind})" for rule, kind in self.found]
        lost = [] if self.loss is None else [f"guest lost: {self.loss}"]
        return ", ".join([str(self.verdict), *lost, *found])


NULL_FREE = (Rule.NULL_FREE, "pool")
CLEAN = Due()

# By the definition of each: a fault's name says what is done in it, to which memory. Every rule
# is there, each family of memory, both languages, guests of one CPU and of two, and guests that are
# lost, as what is left of those is cleared another way.
MIX: dict[str, Due] = {
    # First those for which more is opened and imported, which stays: of two CPUs, and lost ones.
    "svm/on_every_cpu": CLEAN,
    "postmortem/panic": Due((NULL_FREE,), Loss.PANIC),
    "postmortem/triple-fault": Due((NULL_FREE,), Loss.RESET),
    "c/pool": CLEAN,
    "fault/leak/pool/c": Due(((Rule.LEAK, "pool"),)),
    "c/contiguous": CLEAN,
    "fault/double-free/contiguous/rust": Due(((Rule.DOUBLE_FREE, "contiguous"),)),
    "c/refused": CLEAN,
    "fault/null-free/pool/rust": Due((NULL_FREE,)),
    "c/placement": CLEAN,
    "fault/invalid-free/pool/c/interior": Due(((Rule.INVALID_FREE, "pool"),)),
    "c/l2": CLEAN,
    "fault/mismatched-free/slab/c": Due(((Rule.MISMATCHED_FREE, "slab"),)),
    "allocator/physical_box": CLEAN,
    "fault/wrong-size-free/pages/c": Due(((Rule.WRONG_SIZE_FREE, "pages"),)),
    "allocator/nested_mixed": CLEAN,
    "fault/use-after-free/percpu/c": Due(((Rule.USE_AFTER_FREE, "percpu"),)),
    "box/built_then_moved": CLEAN,
    "fault/out-of-bounds/vmalloc/c": Due(((Rule.OUT_OF_BOUNDS, "vmalloc"),)),
    "vec/pool_growth": CLEAN,
    "fault/misplaced/contiguous/c/boundary": Due(((Rule.MISPLACED, "contiguous"),)),
    "vec/of_boxes": CLEAN,
    "fault/not-restored/none/rust/efer": Due(((Rule.NOT_RESTORED, "none"),)),
    "fault/hardware-use-after-free/contiguous/rust/vmcb": Due(
        ((Rule.HARDWARE_USE_AFTER_FREE, "contiguous"),)
    ),
    "hypervisor/virtualize": CLEAN,
    "fault/unledgered/slab/c": Due(((Rule.UNLEDGERED, "slab"),)),
    "fault/witnesses-disagree/pool/c/release-dropped": Due(((Rule.WITNESSES_DISAGREE, "pool"),)),
}


def found(result: Result) -> Found:
    """Rule and kind of each of its findings."""
    return tuple(sorted((one.rule, one.kind) for one in result.judgement.findings))


def wrong(result: Result, due: Due) -> str | None:
    """What it came to instead, whole; None when it is right."""
    judgement = result.judgement
    right = (judgement.verdict, found(result), result.loss) == (
        *(due.verdict, tuple(sorted(due.found)), due.loss),
    )
    if right and result.as_expected:
        return None
    lost = "" if result.loss is None else f", guest lost: {result.loss}"
    told = f"{judgement.verdict}{lost}, not {due}"
    return f"{told}: {_whole(judgement.findings)}; {'; '.join(judgement.reasons)}"


def _whole(findings: Sequence[object]) -> str:
    return ", ".join(map(str, findings)) or "no finding"
