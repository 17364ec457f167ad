"""Lies that are believed, by name, with the reason. docs/what-it-proves.md says the same.

All of them are words of one witness that nobody else can know: what was kept from the kernel and
left no trace in memory, what went past the wrappers, what was wanted, what the CPU was given and
what its registers were.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.deception.changes import Change


@dataclass(frozen=True)
class Conceded:
    """`covers`: whether a lie about this rule's fault, of this record, is one of these."""

    name: str
    reason: str
    covers: Callable[[str, str, Change], bool]


def _of(rules: str, records: str, fields: str = "") -> Callable[[str, str, Change], bool]:
    """Those rules and records; with `fields` only where one of these is set."""

    def covers(rule: str, record: str, change: Change) -> bool:
        named = not fields or change.field in fields.split()
        return rule in rules.split() and record in records.split(", ") and named

    return covers


def _untold(rules: str, record: str) -> Callable[[str, str, Change], bool]:
    """Those rules' record is not there, or is one of another type: it is as if never written."""

    def covers(rule: str, of: str, change: Change) -> bool:
        untold = change.what == "drop" or change.field == "type"
        return rule in rules.split() and of == record and untold

    return covers


CONCEDED = (
    Conceded(
        "withheld-release",
        "the kernel never got it, so that only the owner knows of it",
        _of("null-free invalid-free double-free", "owner release"),
    ),
    Conceded(
        "withheld-release",
        "the same, where the memory was released rightly as well",
        _untold("mismatched-free wrong-size-free", "owner release"),
    ),
    Conceded(
        "past-the-wrappers",
        "what no wrapper saw and nobody released, only the kernel tells of",
        _untold("unledgered", "kernel allocate"),
    ),
    Conceded(
        "believed-layout",
        "with which size and alignment it was released, only the owner knows",
        _of("wrong-size-free", "owner release", "size align_log2"),
    ),
    Conceded(
        "wanted-place",
        "which place and alignment were asked for, only the owner knows",
        _of(
            "misplaced",
            "owner constraint, owner allocate",
            "pointer physical size detail align_log2",
        ),
    ),
    Conceded(
        "the-lie-itself",
        "the planted fault is itself one false record beside a sound run",
        _of("witnesses-disagree", "owner allocate, owner release"),
    ),
    Conceded(
        "given-to-the-cpu",
        "which addresses the CPU was given, and until when, only the owner knows",
        _of(
            "hardware-use-after-free misplaced",
            "owner operand, owner bind, owner unbind, owner svm_off, owner svm_on, owner vmrun",
        ),
    ),
    Conceded(
        "given-to-the-cpu",
        "whether the CPU refused an L2 (VMEXIT_INVALID), only the owner knows",
        _of("hardware-use-after-free", "owner vmexit", "detail"),
    ),
    Conceded(
        "registers",
        "what a CPU's registers were, only the owner knows",
        _of("not-restored", "owner cpu_state, owner host_register, owner restored"),
    ),
)


def conceded(rule: str, record: str, change: Change) -> str | None:
    """The name under which a lie is conceded; None when it is not."""
    found = (one.name for one in CONCEDED if one.covers(rule, record, change))
    return next(found, None)
