"""The guest's table of scenarios: tab-separated lines to declarations. Format: guest/LEDGER.md."""

from dataclasses import dataclass

from freeonce.errors import EvidenceError
from freeonce.evidence.text import printable

MAX_SCENARIOS = 10_000
MAX_EXPECTED = 100
CPUS = frozenset(map(str, range(1, 65)))
"""What a scenario may need (guest/specimens/declared.h)."""
FAULTS = "fault/"
"""How the names of planted faults begin."""


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
    """One named piece of guest code. `index`: its place in the guest's table.

    `needs`: a feature that the CPU may lack. `ends`: how it loses the guest (`Loss`);
    such a one is only run when named. `cpus`: that it needs; with fewer it is unsupported.
    `shares`: it says that it leaves nothing behind, so that others may come before and after
    it in one guest.
    """

    index: int
    name: str
    section: str
    language: str
    needs: str | None
    lesson: str
    expected: tuple[Expectation, ...]
    ends: str | None = None
    cpus: int = 1
    shares: bool = False

    @property
    def is_planted(self) -> bool:
        """Whether it is a fault of ours, put there to be caught."""
        return self.name.startswith(FAULTS)


def parse_scenarios(raw: bytes) -> tuple[Scenario, ...]:
    """The declarations in the order of the guest.

    Raises EvidenceError for a line that is neither a scenario nor an expectation,
    a name that comes twice, or more than MAX_SCENARIOS or MAX_EXPECTED.
    """
    heads: dict[str, tuple[str, ...]] = {}
    expected: dict[str, list[Expectation]] = {}
    name = ""
    for number, line in enumerate(printable(raw).split("\n"), start=1):
        match line.split("\t"):
            case [""]:
                continue
            case ["scenario", name, *rest] if _is_head(rest) and name not in heads:
                heads[name], expected[name] = tuple(rest), []
            case ["expect", rule, kind, at, what, because] if name in heads:
                one = Expectation(rule, kind, at or None, what or None, because or None)
                expected[name].append(one)
            case _:
                raise EvidenceError(f"line {number} of the guest's scenarios: {line[:100]!r}")
        if len(heads) > MAX_SCENARIOS or len(expected[name]) > MAX_EXPECTED:
            raise EvidenceError(
                f"the guest lists more than {MAX_SCENARIOS} scenarios, "
                f"or more than {MAX_EXPECTED} findings for one"
            )
    if not heads:
        raise EvidenceError("the guest lists no scenario")
    return tuple(
        Scenario(
            index,
            name,
            section,
            language,
            None if needs == "-" else needs,
            lesson,
            tuple(expected[name]),
            None if ends == "-" else ends,
            int(cpus),
            shares == "shares",
        )
        for index, (name, head) in enumerate(heads.items())
        for section, language, needs, ends, cpus, shares, lesson in (head,)
    )


def _is_head(fields: list[str]) -> bool:
    """Of a scenario, behind its name."""
    match fields:
        case [_, _, _, _, cpus, "-" | "shares", _]:
            return cpus in CPUS
    return False
