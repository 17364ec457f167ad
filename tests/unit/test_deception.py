"""A sample of `make deception`: one record of a planted fault changed, and never clean by that."""

import random

import numpy as np
import pytest

from freeonce.audit.model import Verdict
from freeonce.evidence.ledger import Type, Witness
from tests.deception.changes import Change, apply, changes
from tests.deception.lies import deceived, judged, tried
from tests.deception.saved import Planted, load

PLANTED = load()
SAMPLE = 2
"""Changes of each fault."""
TELLING = (Type.ALLOCATE, Type.RELEASE, Type.BROKEN, Type.RECLAIM)
LARGE = 5_000
"""Records of a run that takes seconds to judge."""


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


@pytest.mark.parametrize(
    "planted", [one for one in PLANTED if len(one.records) < LARGE], ids=lambda one: one.name
)
def test_what_tells_of_memory_is_missed(planted: Planted) -> None:
    """By a sample this was not found: it is one record of a hundred, and of those one change."""
    kinds = planted.records["type"]
    telling = np.flatnonzero(np.isin(kinds, TELLING)).tolist()
    lies = [tried(planted, Change("drop", index)) for index in telling]
    assert [str(lie.change) for lie in lies if lie and lie.conceded is None] == []


def test_a_release_of_a_pools_memory_is_no_word_of_the_kernels() -> None:
    (planted,) = (one for one in PLANTED if one.name == "fault/unledgered/pool/c")
    (release,) = np.flatnonzero(
        (planted.records["type"] == Type.RELEASE) & (planted.records["witness"] == Witness.LEDGER)
    )
    assert tried(planted, Change("set", int(release), "witness", int(Witness.KERNEL))) is None


def test_what_was_dropped_leaves_no_gap() -> None:
    records = PLANTED[0].records
    for change in changes(records):
        if change.what == "drop":
            done = apply(records, change)
            assert len(done) == len(records) - 1
            assert set(done["sequence"][1:] - done["sequence"][:-1]) == {1}
