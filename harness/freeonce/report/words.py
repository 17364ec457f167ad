"""A finding in a sentence, and what a scenario expects. Pure."""

from collections.abc import Sequence

from freeonce.audit.model import Finding, Rule
from freeonce.evidence.scenarios import Expectation, Scenario

OF_THE_CPU = (Rule.NOT_RESTORED, Rule.HARDWARE_USE_AFTER_FREE, Rule.MISPLACED)
"""Rules that may speak of what the CPU was given, without an allocation."""

SUPPRESSED = "suppressed: "
"""How a reason begins that says why what was found does not count."""

MOST_NAMED = 20
"""Scenarios that were not run, where a sentence names them."""


def subject(finding: Finding) -> str:
    """What it is about: name, size and kind as far as known."""
    if finding.rule is Rule.WITNESSES_DISAGREE:
        return f"{finding.pointer:#x}:" if finding.pointer else "everywhere:"
    if finding.size is None and finding.rule in OF_THE_CPU:
        return f"CPU {finding.cpu}:"
    if finding.size is None:
        return f"{finding.pointer:#x}" if finding.pointer else "null"
    name = f"allocation {finding.serial}" if finding.serial else f"{finding.pointer or 0:#x}"
    name = f"`{finding.what}`" if finding.what else name
    unit = "byte" if finding.size == 1 else "bytes"
    return f"{name}, {finding.size} {unit} {finding.kind}"


def _event(finding: Finding) -> tuple[str, str]:
    """What happened, and what is to be said of it: the step stands between."""
    match finding.rule:
        case Rule.DOUBLE_FREE:
            return f"released again {finding.detail}".rstrip(), ""
        case Rule.NULL_FREE:
            return f"released by the {finding.kind} call", ""
        case Rule.INVALID_FREE if finding.size is None:
            return f"released by the {finding.kind} call", f", but {finding.detail}"
        case Rule.INVALID_FREE:
            return "released", f" by a pointer {finding.detail}"
        case Rule.MISMATCHED_FREE | Rule.WRONG_SIZE_FREE:
            return "released", f" {finding.detail}"
        case _:
            return finding.detail or "never released", ""


def sentence(finding: Finding, expectation: Expectation | None = None) -> str:
    """The finding in words; why it happens, when the scenario declared that."""
    at = f' at "{finding.at}"' if finding.at else ""
    why = f"; {expectation.because}" if expectation and expectation.because else ""
    comma = "," if finding.size is not None else ""
    verb, rest = _event(finding)
    return f"{subject(finding)}{comma} {verb}{at}{rest}{why}"


def expected_words(scenario: Scenario) -> str:
    """What a scenario declares: how its guest is lost; rule, kind, name and step of each finding.

    Clean, when it declares nothing.
    """
    lost = [f"the guest lost ({scenario.ends})"] if scenario.ends else []
    return ", ".join([*lost, *map(_expected, scenario.expected)]) or "clean"


def _expected(one: Expectation) -> str:
    name = f" of `{one.what}`" if one.what else ""
    step = f' at "{one.at}"' if one.at else ""
    return f"{one.rule} ({one.kind}){name}{step}"


def unfinished(broken_off: str, not_run: Sequence[str]) -> str:
    """How far a run came, with the first names of the rest; empty for a whole one."""
    names = list(dict.fromkeys(not_run))
    more = len(names) - MOST_NAMED
    told = ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{broken_off}; not run: {told}" if broken_off and names else broken_off
