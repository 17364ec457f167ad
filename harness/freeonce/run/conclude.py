"""Evidence to a result: judged, and held against what the scenario declared. Pure."""

from collections.abc import Sequence

from freeonce.audit.audit import judge, match
from freeonce.audit.model import Verdict
from freeonce.audit.result import Evidence, Result
from freeonce.evidence.ledger import TEXT_BYTES, Records, text_of
from freeonce.evidence.scenarios import Scenario


def conclude(
    scenario: Scenario, evidence: Evidence, seconds: float, features: frozenset[str] = frozenset()
) -> Result:
    """The result of a scenario from its evidence. `features`: what the machine promised."""
    doubts = (*evidence.doubts, *_of_another(evidence.records, scenario))
    judgement = judge(
        evidence.records,
        evidence.memory,
        doubts,
        evidence.account,
        evidence.unloaded,
        asked=evidence.asked,
        run=evidence.run,
    )
    why, matches = match(judgement.findings, scenario.expected)
    as_expected = {
        Verdict.CLEAN: matches,
        Verdict.FAULTY: matches,
        # It said beforehand that a CPU may lack this, and this machine did not promise it.
        Verdict.UNSUPPORTED: scenario.needs is not None and scenario.needs not in features,
        # Its guest must be lost, in that way, and what was proven before is what it declared.
        Verdict.INCOMPLETE: matches and scenario.ends is not None,
    }[judgement.verdict] and scenario.ends == evidence.loss
    return Result(scenario, judgement, as_expected, why, seconds, evidence.loss, evidence)


def _of_another(records: Records, scenario: Scenario) -> tuple[str, ...]:
    """Why the records are not of this scenario; nothing when they are."""
    if not len(records):
        return ()
    said = text_of(records[0]), int(records[0]["serial"])
    wanted = scenario.name.encode()[:TEXT_BYTES].decode("utf-8", "replace"), scenario.index
    return () if said == wanted else (f"the ledger is of another scenario: {said[0]}",)


def exit_status(results: Sequence[Result]) -> int:
    """0: every verdict as expected; 4: some incomplete that is not; 1: some other not."""
    wrong = [result.judgement.verdict for result in results if not result.as_expected]
    if Verdict.INCOMPLETE in wrong:
        return 4
    return 1 if wrong else 0
