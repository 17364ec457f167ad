"""Results of a store as JUnit, for CI. Pure."""

from collections import defaultdict
from collections.abc import Iterable

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from freeonce.audit.model import Verdict
from freeonce.campaign.store import Kept
from freeonce.campaign.summary import Summary, summary


def junit_text(results: Iterable[Kept]) -> str:
    """A test case for each task, by the schema of Jenkins' xUnit plugin. One result of each."""
    every = [summary(one) for one in results]
    numbers = _numbers(every)
    suite = TestSuite("freeonce campaign")
    for one in every:
        suite.add_testcase(_case(one, numbers[one.task]))
    suite.time = round(suite.time, 3)
    xml = JUnitXml("freeonce")
    xml.add_testsuite(suite)
    xml.time = suite.time
    return bytes(xml.tostring()).decode()  # type: ignore[no-untyped-call]


def _numbers(every: Iterable[Summary]) -> dict[str, int]:
    """By task: which of those with its label it is, from 1. The same whichever came first."""
    alike: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for one in every:
        alike[one.kind, one.label].add(one.task)
    return {
        task: number for tasks in alike.values() for number, task in enumerate(sorted(tasks), 1)
    }


def _case(one: Summary, which: int) -> TestCase:
    """`which`: of the tasks with its label."""
    # Of cases with the same names GitLab believes the first alone.
    name = one.label if which == 1 else f"{one.label} ({which})"
    name = f"{name} #{one.number + 1}" if one.number else name
    case = TestCase(name, f"freeonce.{one.kind}", round(one.seconds, 3))
    if one.as_expected and one.verdict != Verdict.UNSUPPORTED:
        case.system_out = one.words
        return case
    kinds = {Verdict.INCOMPLETE: Error, Verdict.UNSUPPORTED: Skipped}
    kind = next((kind for verdict, kind in kinds.items() if verdict == one.verdict), Failure)
    said = kind(one.words or "not as expected", one.verdict)
    said.text = one.words
    case.result = [said]
    return case
