"""`run --junit`: a test case a scenario, by the schema of Jenkins' xUnit plugin. Pure.

GitLab and Jenkins group by class name: a scenario's is the part of its name before the last `/`.
Of cases with the same names GitLab believes the first alone, so repeated runs are numbered.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from freeonce.audit.model import Verdict
from freeonce.audit.result import Result
from freeonce.report.places import NOWHERE, Everywhere, where
from freeonce.report.words import expected_words, sentence


def _case(result: Result, number: int, places: Everywhere) -> TestCase:
    """`number`: which run of its scenario this is, from 1."""
    judgement = result.judgement
    group, _, name = result.scenario.name.rpartition("/")
    name = name if number == 1 else f"{name} #{number}"
    # The schema allows no more than milliseconds.
    case = TestCase(name, f"freeonce.{group}" if group else "freeonce", round(result.seconds, 3))
    lines = _lines(result, places)
    text = "\n".join(lines)
    if result.as_expected and judgement.verdict is not Verdict.UNSUPPORTED:
        case.system_out = text
        return case
    kind = {Verdict.INCOMPLETE: Error, Verdict.UNSUPPORTED: Skipped}.get(judgement.verdict, Failure)
    wanted = expected_words(result.scenario)
    said = kind((lines or [f"expected {wanted}"])[0].splitlines()[0], str(judgement.verdict))
    said.text = f"{text}\nexpected: {wanted}"
    case.result = [said]
    return case


def _lines(result: Result, places: Everywhere) -> list[str]:
    """Findings with their place, and the reasons."""
    lines = []
    for finding in result.judgement.findings:
        told = [sentence(finding, result.why.get(finding)), *where(finding, places.of(result))]
        lines.append(f"{finding.rule}: {'; '.join(told)}")
    return [*lines, *result.judgement.reasons]


def junit_text(
    results: Sequence[Result],
    host: Mapping[str, str] | None = None,
    places: Everywhere = NOWHERE,
    broken_off: str = "",
) -> str:
    """The report as XML. `host`: what the run ran on. `places`: of its calls.

    `broken_off`: how far the run came; what did not run must not look like what passed.
    """
    suite = TestSuite("freeonce")
    for name, value in (host or {}).items():
        suite.add_property(name, value)
    runs: Counter[str] = Counter()
    for result in results:
        runs[result.scenario.name] += 1
        suite.add_testcase(_case(result, runs[result.scenario.name], places))
    if broken_off:
        rest = TestCase("the whole run", "freeonce")
        rest.result = [Error(broken_off, "broken off")]
        suite.add_testcase(rest)
    suite.time = round(suite.time, 3)
    xml = JUnitXml("freeonce")
    xml.add_testsuite(suite)
    xml.time = suite.time
    return bytes(xml.tostring()).decode()  # type: ignore[no-untyped-call]
