"""A sample of `make deception`: one record of a planted fault changed, and never clean by that."""

import random

import pytest

from freeonce.audit.model import Verdict
from tests.deception.changes import apply, changes
from tests.deception.lies import deceived, judged
from tests.deception.saved import Planted, load

PLANTED = load()
SAMPLE = 2
"""Changes of each fault."""


@pytest.mark.parametrize("planted", PLANTED, ids=lambda one: one.name)
def test_without_a_lie_it_is_what_was_planted(planted: Planted) -> None:
    judgement = judged(planted, planted.records)
    assert judgement.verdict is Verdict.FAULTY, judgement.reasons
    assert {str(one.rule) for one in judgement.findings} == {planted.rule}


@pytest.mark.parametrize("planted", PLANTED, ids=lambda one: one.name)
def test_a_lie_does_not_make_it_clean(planted: Planted) -> None:
    chosen = random.Random(planted.name).sample(list(changes(planted.records)), SAMPLE)
    lies = [lie for lie in deceived(planted, chosen.__contains__) if lie is not None]
    assert [str(lie.change) for lie in lies if lie.conceded is None] == []


def test_what_was_dropped_leaves_no_gap() -> None:
    records = PLANTED[0].records
    for change in changes(records):
        if change.what == "drop":
            done = apply(records, change)
            assert len(done) == len(records) - 1
            assert set(done["sequence"][1:] - done["sequence"][:-1]) == {1}
