"""Results of a store as JUnit, for CI. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from junitparser import Error, Failure, Skipped, TestCase

from freeonce.audit.model import Verdict
from freeonce.campaign.store import Kept
from freeonce.campaign.summary import Summary, summary


def junit_parts(results: Iterable[Kept]) -> Iterator[str]:
    """A test case for each task, by the schema of Jenkins' xUnit plugin. One result of each.

    `results`: gone through twice, as sums stand before what they are of.
    """
    sums: Counter[str] = Counter(tests=0, errors=0, failures=0, skipped=0)
    seconds = 0.0
    alike: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for one in results:
        alike[one.kind, one.label].add(one.same_task)
        sums["tests"] += 1
        seconds += one.seconds
        if kind := _kind(one):
            sums[_SUMS[kind]] += 1
    numbers = _numbers(alike.values())
    told = " ".join(f'{name}="{count}"' for name, count in sums.items())
    yield f'<testsuites name="freeonce" time="{seconds:.3f}">\n'
    yield f'<testsuite name="freeonce campaign" {told} time="{seconds:.3f}">\n'
    for said in map(summary, results):
        text: bytes = _case(said, numbers[said.task]).tostring()  # type: ignore[no-untyped-call]
        yield f"{text.decode()}\n"
    yield "</testsuite>\n</testsuites>\n"


_SUMS = {Error: "errors", Failure: "failures", Skipped: "skipped"}


def _numbers(alike: Iterable[Iterable[str]]) -> dict[str, int]:
    """By task: which of those with its label it is, from 1. The same whichever came first."""
    return {task: number for tasks in alike for number, task in enumerate(sorted(tasks), 1)}


def _kind(one: Kept | Summary) -> type[Error | Failure | Skipped] | None:
    """What JUnit has for what was not as expected, or not seen."""
    if one.verdict == Verdict.UNSUPPORTED:
        return Skipped
    if one.as_expected:
        return None
    return Error if one.verdict == Verdict.INCOMPLETE else Failure


def _case(one: Summary, which: int) -> TestCase:
    """`which`: of the tasks with its label."""
    # Of cases with the same names GitLab believes the first alone.
    name = one.label if which == 1 else f"{one.label} ({which})"
    name = f"{name} #{one.number + 1}" if one.number else name
    case = TestCase(name, f"freeonce.{one.kind}", round(one.seconds, 3))
    kind = _kind(one)
    if kind is None:
        case.system_out = one.words
        return case
    said = kind(one.words or "not as expected", one.verdict)
    said.text = one.words
    case.result = [said]
    return case
