"""Findings held against what a scenario declares: which expectation each one meets. Pure.

An expectation may leave open at which step, or of which allocation. Those that say both have
no choice and are met first; those that say neither take what is left. What remains between
them is a matching of two sides, found by augmenting paths.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from itertools import islice

from freeonce.audit.model import Finding
from freeonce.evidence.scenarios import Expectation


def match(
    findings: Sequence[Finding], expected: Sequence[Expectation]
) -> tuple[dict[Finding, Expectation], bool]:
    """Which expectation each finding meets, and whether both sides match exactly."""
    met: dict[Finding, Expectation] = {}
    for said in (_says_both, _says_one, _says_none):
        chosen = [one for one in expected if said(one)]
        left = [one for one in findings if one not in met]
        met |= _matching(left, chosen)
    return met, len(met) == len(expected) == len(findings)


def _says_both(one: Expectation) -> bool:
    return one.at is not None and one.what is not None


def _says_one(one: Expectation) -> bool:
    return (one.at is None) != (one.what is None)


def _says_none(one: Expectation) -> bool:
    return one.at is None and one.what is None


def _matching(
    findings: Sequence[Finding], expected: Sequence[Expectation]
) -> dict[Finding, Expectation]:
    """As many of these expectations met as can be, each by a finding of its own."""
    by_key: defaultdict[tuple[object, ...], list[Finding]] = defaultdict(list)
    if not expected:
        return {}
    for one in findings:
        for at, what in {(one.at, one.what), (one.at, None), (None, one.what), (None, None)}:
            by_key[str(one.rule), one.kind, at, what].append(one)
    # Each could not be kept from more findings than there are other expectations.
    most = len(expected)
    choices = [
        list(islice(by_key.get((one.rule, one.kind, one.at, one.what), ()), most))
        for one in expected
    ]
    matching = _Matching(choices)
    for index in range(len(expected)):
        matching.augment(index)
    return {finding: expected[index] for finding, index in matching.taken.items()}


class _Matching:
    """Expectations by index, each with its choices. `has`: what each has, `taken`: by whom."""

    def __init__(self, choices: Sequence[Sequence[Finding]]) -> None:
        self.choices = choices
        self.has: list[Finding | None] = [None] * len(choices)
        self.taken: dict[Finding, int] = {}

    def augment(self, start: int) -> None:
        """Meet one more, by giving others another finding where that is needed."""
        came: dict[Finding, int] = {}
        waiting = deque([start])
        while waiting:
            index = waiting.popleft()
            for finding in self.choices[index]:
                if finding in came:
                    continue
                came[finding] = index
                if finding not in self.taken:
                    self._turn(finding, came)
                    return
                waiting.append(self.taken[finding])

    def _turn(self, end: Finding, came: dict[Finding, int]) -> None:
        """Give each expectation on the path the finding that it led to."""
        finding: Finding | None = end
        while finding is not None:
            index = came[finding]
            self.taken[finding] = index
            self.has[index], finding = finding, self.has[index]
