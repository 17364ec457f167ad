"""What one run of a scenario came to: its evidence, its judgement, and whether that was expected.

Reports read this and nothing above it. Pure.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain

from freeonce.audit.memory import Memory
from freeonce.audit.model import Account, Asked, Finding, Judgement
from freeonce.audit.run import Run, take_apart
from freeonce.errors import Loss
from freeonce.evidence.ledger import Records, parse_records
from freeonce.evidence.scenarios import Expectation, Scenario
from freeonce.evidence.stacks import Told, only, told

PLAIN = Asked()
NOTHING = parse_records(b"", 0).records


@dataclass(frozen=True)
class Evidence:
    """What one run left: its records, its memory, and what is wrong with them.

    `unloaded`: the whole ledger after the module's unload, of a run that asked for it.
    `asked`: what the host asked for, whatever the guest says.
    """

    records: Records
    memory: Memory | None = None
    doubts: tuple[str, ...] = ()
    account: Account = Account.MISSING
    loss: Loss | None = None
    unloaded: Records | None = None
    asked: Asked = PLAIN

    apart: Run | None = field(default=None, repr=False, compare=False)
    """The records taken apart, where that was done already."""

    named: Told | None = field(default=None, repr=False, compare=False)
    """The stacks that findings name, where the records that told them are not kept."""

    @cached_property
    def told(self) -> Told:
        """What is said of stacks, and of where the code under audit lies."""
        return told(self.records) if self.named is None else self.named

    @cached_property
    def run(self) -> Run:
        """The records taken apart, once for the judgement and all reports."""
        return take_apart(self.records) if self.apart is None else self.apart


@dataclass(frozen=True)
class Result:
    """What one scenario came to. `why`: for each expected finding, the expectation it met.

    `loss`: how its guest was lost, None when it was not.
    """

    scenario: Scenario
    judgement: Judgement
    as_expected: bool
    why: dict[Finding, Expectation]
    seconds: float
    loss: Loss | None = None
    evidence: Evidence = field(default_factory=lambda: Evidence(NOTHING), repr=False, compare=False)

    def without_pictures(self, *sites: int) -> "Result":
        """The same without its evidence: the findings tell all that reports in words need.

        `sites`: what else has a place that somebody asks for.
        """
        found = self.judgement.findings
        of_findings = ((one.site, one.allocated_site, one.released_site) for one in found)
        named = only(self.evidence.told, {*sites, *chain.from_iterable(of_findings)})
        return replace(self, evidence=Evidence(NOTHING, loss=self.evidence.loss, named=named))
