"""The guest's table of scenarios: tab-separated lines to declarations. Format: guest/LEDGER.md."""

from dataclasses import dataclass

from freeonce.errors import EvidenceError

MAX_SCENARIOS = 10_000


@dataclass(frozen=True)
class Expectation:
    """One finding that a scenario declares. None where it does not say."""

    rule: str
    kind: str
    at: str | None = None
    what: str | None = None
    because: str | None = None


@dataclass(frozen=True)
class Scenario:
    """One named piece of guest code. `needs`: a feature that the CPU may lack."""

    name: str
    section: str
    language: str
    needs: str | None
    lesson: str
    expected: tuple[Expectation, ...]


def parse_scenarios(text: str) -> tuple[Scenario, ...]:
    """The declarations in the order of the guest.

    Raises EvidenceError for a line that is neither a scenario nor an expectation,
    a name that comes twice, or more than MAX_SCENARIOS.
    """
    found: dict[str, Scenario] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        match line.split("\t"):
            case ["scenario", name, section, language, needs, lesson] if name not in found:
                found[name] = Scenario(
                    name, section, language, None if needs == "-" else needs, lesson, ()
                )
            case ["expect", rule, kind, at, what, because] if found:
                name, last = found.popitem()
                expectation = Expectation(rule, kind, at or None, what or None, because or None)
                found[name] = Scenario(
                    name,
                    last.section,
                    last.language,
                    last.needs,
                    last.lesson,
                    (*last.expected, expectation),
                )
            case _:
                raise EvidenceError(f"line {number} of the guest's scenarios: {line[:100]!r}")
        if len(found) > MAX_SCENARIOS:
            raise EvidenceError(f"the guest lists more than {MAX_SCENARIOS} scenarios")
    if not found:
        raise EvidenceError("the guest lists no scenario")
    return tuple(found.values())
