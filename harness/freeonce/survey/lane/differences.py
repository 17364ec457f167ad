"""Two runs of the same scenarios, and what of their differences is known and explained. Pure."""

import fnmatch
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from freeonce.errors import EvidenceError
from freeonce.report.document import SCHEMA


@dataclass(frozen=True)
class Outcome:
    """What a scenario came to, without addresses and times.

    `findings`: rule, kind, step and name of each, sorted.
    """

    verdict: str
    as_expected: bool
    allocations: int
    releases: int
    findings: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """One field of a scenario's outcome that is not the same; `absent` when it did not run."""

    scenario: str
    field: str
    tcg: str
    kvm: str


@dataclass(frozen=True)
class Declared:
    """A difference that is known. `scenarios`: a pattern (fnmatch). `source`: of the reason.

    `place`: where KVM was when it was seen, `here` or `outer`; elsewhere it says nothing.
    """

    scenarios: str
    field: str
    why: str
    source: str
    place: str = "outer"


_NO_MWAIT = "KVM shows guests no MONITOR and MWAIT, so nothing was tried"
_NO_MWAIT_SOURCE = "Linux arch/x86/kvm/cpuid.c, kvm_set_cpu_caps()"

DECLARED: tuple[Declared, ...] = (
    Declared("svm/exit/mwait", "verdict", _NO_MWAIT, _NO_MWAIT_SOURCE),
    Declared("svm/exit/mwait", "allocations", _NO_MWAIT, _NO_MWAIT_SOURCE),
    Declared("svm/exit/mwait", "releases", _NO_MWAIT, _NO_MWAIT_SOURCE),
    Declared(
        "svm/exit/injection_software",
        "verdict",
        "a CPU without NRIP save: kvm_amd goes back to run the INT that L1 injected, and the "
        "L2 has none there",
        "Linux arch/x86/kvm/svm/svm.c, svm_complete_soft_interrupt()",
    ),
    Declared(
        "svm/invalid/event_type_[1567]",
        "verdict",
        "KVM checks no type of an injected event, and TCG below it never sees the reserved ones",
        "Linux arch/x86/kvm/svm/nested.c, __nested_vmcb_check_controls()",
    ),
    Declared(
        "svm/invalid/nested_cr3_reserved",
        "verdict",
        "KVM checks nCR3, QEMU 7.2's TCG does not",
        "Linux arch/x86/kvm/svm/nested.c; QEMU target/i386/tcg/sysemu/svm_helper.c",
    ),
)
"""Every difference that we know of and can explain; one that no longer occurs fails the lane."""


@dataclass(frozen=True)
class Comparison:
    """`unexplained` and `gone` (declared, and yet all the same) are failures."""

    same: int
    explained: tuple[tuple[Difference, Declared], ...]
    unexplained: tuple[Difference, ...]
    gone: tuple[Declared, ...]

    @property
    def ok(self) -> bool:
        """Whether every difference is declared, and every declaration still true."""
        return not self.unexplained and not self.gone


def outcomes(document: Mapping[str, object]) -> dict[str, Outcome]:
    """The outcome of each scenario by name, from a run's JSON. Raises EvidenceError."""
    try:
        if document["schema"] != SCHEMA:
            raise EvidenceError(f"schema {document['schema']!r}, not {SCHEMA}")
        scenarios = _list(document["scenarios"])
        found = {one["name"]: _outcome(one) for one in scenarios}
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError(f"no JSON of a run: {type(error).__name__} {error}") from error
    if len(found) != len(scenarios):
        raise EvidenceError("the JSON of the run names a scenario twice")
    return found


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list is missing")
    return value


def _outcome(scenario: Mapping[str, object]) -> Outcome:
    return Outcome(
        verdict=str(scenario["verdict"]),
        as_expected=scenario["as_expected"] is True,
        allocations=int(str(scenario["allocations"])),
        releases=int(str(scenario["releases"])),
        findings=tuple(sorted(_finding(one) for one in _list(scenario["findings"]))),
    )


def _finding(finding: Mapping[str, object]) -> str:
    words = [f"{finding['rule']} ({finding['kind']})"]
    words += [f"{key} {finding[key]!r}" for key in ("at", "what") if finding.get(key) is not None]
    return " ".join(words)


def parse_run(data: bytes) -> dict[str, object]:
    """A run's JSON. Raises EvidenceError when it is none."""
    try:
        document = json.loads(data)
    except ValueError as error:
        raise EvidenceError(f"no JSON: {error}") from error
    if not isinstance(document, dict):
        raise EvidenceError("no JSON of a run: not an object")
    return document


def differences(tcg: Mapping[str, Outcome], kvm: Mapping[str, Outcome]) -> list[Difference]:
    """Every field that differs, in the order of the scenarios."""
    found = []
    for name in dict.fromkeys((*tcg, *kvm)):
        if name not in tcg or name not in kvm:
            here, there = ("ran" if name in one else "absent" for one in (tcg, kvm))
            found.append(Difference(name, "scenario", here, there))
            continue
        for field in fields(Outcome):
            one, other = getattr(tcg[name], field.name), getattr(kvm[name], field.name)
            if one != other:
                found.append(Difference(name, field.name, _words(one), _words(other)))
    return found


def _words(value: object) -> str:
    return "; ".join(value) or "none" if isinstance(value, tuple) else str(value)


def compare(
    tcg: Mapping[str, Outcome],
    kvm: Mapping[str, Outcome],
    declared: Sequence[Declared] = DECLARED,
    place: str = "outer",
) -> Comparison:
    """The differences sorted by what is known of them where KVM runs in that place.

    A declaration about scenarios that did not run this time is neither used nor gone.
    """
    found = differences(tcg, kvm)
    declared = [one for one in declared if one.place == place]
    explained = []
    unexplained = []
    for difference in found:
        reason = next((one for one in declared if _about(one, difference)), None)
        if reason is None:
            unexplained.append(difference)
        else:
            explained.append((difference, reason))
    used = {reason for _, reason in explained}
    gone = (one for one in declared if one not in used and fnmatch.filter(tcg, one.scenarios))
    differing = {difference.scenario for difference in found}
    return Comparison(
        same=len(tcg.keys() | kvm.keys()) - len(differing),
        explained=tuple(explained),
        unexplained=tuple(unexplained),
        gone=tuple(gone),
    )


def _about(declared: Declared, difference: Difference) -> bool:
    return declared.field == difference.field and fnmatch.fnmatch(
        difference.scenario, declared.scenarios
    )
