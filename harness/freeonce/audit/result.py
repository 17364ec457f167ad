"""What one run of a scenario came to: its evidence, its judgement, and whether that was expected.

Reports read this and nothing above it. Pure.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from freeonce.audit.memory import Memory
from freeonce.audit.model import Account, Asked, Finding, Judgement
from freeonce.audit.run import Run, take_apart
from freeonce.errors import Loss
from freeonce.evidence.ledger import Records, Type, Witness, parse_records
from freeonce.evidence.scenarios import Expectation, Scenario

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

    @cached_property
    def run(self) -> Run:
        """The records taken apart, once for the judgement and all reports."""
        return take_apart(self.records) if self.apart is None else self.apart

    @cached_property
    def allocated_at(self) -> dict[int, int]:
        """The site of each allocation, by serial, as its owner tells."""
        made = self.records[_made_by_owner(self.records)]
        # Of a serial told twice the first is told.
        return dict(zip(made["serial"][::-1].tolist(), made["site"][::-1].tolist(), strict=True))


def _made_by_owner(records: Records) -> npt.NDArray[np.bool_]:
    made: npt.NDArray[np.bool_] = (records["type"] == Type.ALLOCATE) & (
        records["witness"] == Witness.LEDGER
    )
    return made


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

    def without_pictures(self) -> "Result":
        """The same with no more evidence than reports in words need, so that many can be kept.

        Of the records those stay that say where what was found was allocated; no memory.
        """
        serials = [one.serial for one in self.judgement.findings if one.serial]
        records = self.evidence.records
        # An index by numbers makes a copy: a view would keep all of them.
        kept = records[
            np.flatnonzero(_made_by_owner(records) & np.isin(records["serial"], serials))
        ]
        return replace(self, evidence=Evidence(kept, loss=self.evidence.loss))
