"""Results of runs written by hand, with their evidence."""

from dataclasses import replace

from freeonce.audit.match import match
from freeonce.audit.model import Verdict
from freeonce.audit.result import Evidence, Result
from freeonce.evidence.scenarios import Expectation, Scenario
from tests.unit.history import History

HOST = {
    "accelerator": "tcg",
    "reason": "asked for",
    "qemu": "7.2.22",
    "kernel": "6.1.0",
    "rust": "1.96.0",
}


def result(name: str, history: History, expected: tuple[Expectation, ...] = ()) -> Result:
    judgement = history.judged()
    why, matches = match(judgement.findings, expected)
    scenario = Scenario(0, name, "Section", "Rust", None, "A lesson.", expected)
    as_expected = matches and judgement.verdict is not Verdict.INCOMPLETE
    evidence = Evidence(history.records(), history.memory())
    return Result(scenario, judgement, as_expected, why, 0.1, evidence=evidence)


def told(one: Result, **words: str) -> Result:
    """The same with other words of the guest: name, section, lesson."""
    return replace(one, scenario=replace(one.scenario, **words))  # type: ignore[arg-type]
