"""Evidence to a result: judged, and held against what the scenario declared. Pure."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from freeonce.audit.audit import judge
from freeonce.audit.life import Life, Target
from freeonce.audit.match import match
from freeonce.audit.model import Rule, Verdict
from freeonce.audit.phases import without_room
from freeonce.audit.result import Evidence, Result
from freeonce.audit.rules import KIND_NAMES
from freeonce.audit.untold import untold
from freeonce.errors import Loss
from freeonce.evidence.ledger import TEXT_BYTES, Records, text_of
from freeonce.evidence.scenarios import Scenario
from freeonce.evidence.text import one_line, printable
from freeonce.run.hear import LIFE
from freeonce.run.life import Lived

LIFE_INDEX = 0xFFFF_FFFF
"""What stands for the scenario's number in the begin of a life."""


def conclude(
    scenario: Scenario, evidence: Evidence, seconds: float, features: frozenset[str] = frozenset()
) -> Result:
    """The result of a scenario from its evidence. `features`: what the machine promised."""
    # They quote the guest, and what speaks for it; no report may be spoilt by that.
    quoted = tuple(map(printable, evidence.doubts))
    doubts = (*quoted, *_of_another(evidence.records, scenario), *_undefined(scenario))
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
        # It said beforehand what a machine may lack, and this one did not promise it.
        Verdict.UNSUPPORTED: _lacking(scenario, evidence.asked.cpus, features),
        # Its guest must be lost, in that way, and what was proven before is what it declared.
        Verdict.INCOMPLETE: matches and scenario.ends is not None,
    }[judgement.verdict] and scenario.ends == evidence.loss
    return Result(scenario, judgement, as_expected, why, seconds, evidence.loss, evidence)


def _lacking(scenario: Scenario, cpus: int | None, features: frozenset[str]) -> bool:
    few = cpus is not None and cpus < scenario.cpus
    return few or (scenario.needs is not None and scenario.needs not in features)


def doubted(result: Result, reason: str) -> Result:
    """The result as incomplete, and not as expected, for a reason from outside its evidence."""
    judgement = replace(
        result.judgement,
        verdict=Verdict.INCOMPLETE,
        reasons=(*result.judgement.reasons, printable(reason)),
    )
    return replace(result, judgement=judgement, as_expected=False)


def _undefined(scenario: Scenario) -> Iterator[str]:
    """What a declaration names that does not exist, so that nothing could meet it."""
    for one in scenario.expected:
        yield from _unknown("the rule", one.rule, list(Rule))
        yield from _unknown("the kind", one.kind, list(KIND_NAMES.values()))
    if scenario.ends is not None:
        yield from _unknown("the loss", scenario.ends, list(Loss))


def _unknown(what: str, word: str, known: Sequence[str]) -> Iterator[str]:
    if word not in known:
        near = difflib.get_close_matches(word.lower(), known, n=1) or known
        there = ", ".join(near)
        yield f"its declaration expects {what} {word!r}, which does not exist; there is {there}"


def _of_another(records: Records, scenario: Scenario) -> tuple[str, ...]:
    """Why the records are not of this scenario; nothing when they are."""
    if not len(records):
        return ()
    said = text_of(records[0]), int(records[0]["serial"])
    wanted = one_line(scenario.name.encode()[:TEXT_BYTES]), scenario.index
    return () if said == wanted else (f"the ledger is of another scenario: {said[0]}",)


INCOMPLETE = 4
"""The exit status when something was not seen that should have been."""


def exit_status(results: Sequence[Result]) -> int:
    """0: every verdict as expected; 4: some incomplete that is not; 1: some other not."""
    wrong = [result.judgement.verdict for result in results if not result.as_expected]
    if Verdict.INCOMPLETE in wrong:
        return INCOMPLETE
    return 1 if wrong else 0


def conclude_life(name: str, targets: tuple[Target, ...], lived: Lived, seconds: float) -> Life:
    """A life's result from its evidence: clean only when nothing stopped it and nothing is found.

    `name`: what reports call it.
    """
    said = tuple(one.message for one in lived.reasons)
    result = conclude_led(name, targets, lived.evidence, seconds, said)
    records = lived.evidence.records
    reasons = (*lived.reasons, *without_room(records), *untold(targets, records))
    ran = tuple(lived.ran)
    return Life(targets, lived.stage, reasons, ran, result, lived.bounds)


def conclude_led(
    name: str,
    targets: Sequence[Target],
    evidence: Evidence,
    seconds: float,
    said: tuple[str, ...] = (),
) -> Result:
    """The result of a life of `targets` from its evidence alone. `said`: what else spoils it."""
    scenario = Scenario(LIFE_INDEX, LIFE, "Modules", "C", None, "", ())
    unseen = (one.message for one in untold(targets, evidence.records))
    quoted = map(printable, (*said, *unseen, *evidence.doubts))
    doubts = dict.fromkeys((*quoted, *_of_another(evidence.records, scenario)))
    judgement = judge(
        evidence.records,
        evidence.memory,
        tuple(doubts),
        evidence.account,
        asked=evidence.asked,
        run=evidence.run,
    )
    clean = judgement.verdict is Verdict.CLEAN
    return Result(
        replace(scenario, name=name), judgement, clean, {}, seconds, evidence.loss, evidence
    )
