"""What the audit says: rules, findings, verdicts."""

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """The name of what was violated. Stable: other programs depend on it."""

    LEAK = "leak"
    DOUBLE_FREE = "double-free"
    NULL_FREE = "null-free"
    INVALID_FREE = "invalid-free"
    MISMATCHED_FREE = "mismatched-free"
    WRONG_SIZE_FREE = "wrong-size-free"
    MISPLACED = "misplaced"
    NOT_RESTORED = "not-restored"
    USE_AFTER_FREE = "use-after-free"
    OUT_OF_BOUNDS = "out-of-bounds"
    HARDWARE_USE_AFTER_FREE = "hardware-use-after-free"
    UNLEDGERED = "unledgered"
    WITNESSES_DISAGREE = "witnesses-disagree"


class Verdict(StrEnum):
    """Where a scenario run ends. It starts as INCOMPLETE."""

    CLEAN = "clean"
    FAULTY = "faulty"
    INCOMPLETE = "incomplete"
    UNSUPPORTED = "unsupported"


class Account(StrEnum):
    """What a witness did to the verdict."""

    AGREE = "agree"
    DISAGREE = "disagree"
    MISSING = "missing"


@dataclass(frozen=True)
class Asked:
    """What the host knows of a run without the guest.

    `cpus`: how many the machine has, None when nobody says. `flags`: those that its
    `begin` must have.
    """

    cpus: int | None = None
    flags: int = 0


@dataclass(frozen=True)
class Finding:
    """One violated rule, with the allocation it concerns.

    `kind`: of the allocation, or of the call when there is none. `at`: the last step
    the scenario named before. `what`: the allocation's name. `serial` and `size` (bytes)
    are the allocation's, 0 or None without one. `pointer`: the gva where the allocation
    begins, or what was released; None where it is about neither. `gpa`: the address that
    the CPU was given. `site`: the number of the stack of the call, in this run.
    `detail`: the rest in words. `witness`: which ones prove it, joined by `+`.
    `cpu`: where. `allocated_site`: who allocated it. `released_site`: the caller of another
    release that the finding speaks of.
    `count`: in a life, how many allocations of one stack it stands for, of `total` bytes; the
    others are those of the first.
    """

    rule: Rule
    kind: str
    sequence: int
    pointer: int | None
    site: int
    at: str | None = None
    what: str | None = None
    serial: int = 0
    size: int | None = None
    detail: str = ""
    witness: str = "ledger"
    cpu: int = 0
    gpa: int | None = None
    allocated_site: int = 0
    released_site: int = 0
    count: int = 1
    total: int | None = None


@dataclass(frozen=True)
class Judgement:
    """The verdict on one run of a scenario.

    `reasons` say why it is incomplete or unsupported; findings already proven stand
    beside them.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    reasons: tuple[str, ...]
    allocations: int
    releases: int
    vmruns: int
    events: int
    witnesses: dict[str, Account]
