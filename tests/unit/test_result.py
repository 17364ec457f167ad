"""What one run came to, and its evidence, which is taken apart once."""

from dataclasses import replace

from freeonce.audit.result import NOTHING, Evidence
from freeonce.audit.run import take_apart
from freeonce.evidence.stacks import told
from tests.unit.history import run
from tests.unit.results import result

A = 0x1000
HISTORY = run().stack(7, A).allocate(1, A).end().settle()


def test_records_are_taken_apart_where_nobody_did_before() -> None:
    evidence = Evidence(HISTORY.records())
    assert evidence.run.allocates["serial"].tolist() == [1]
    assert evidence.run is evidence.run
    assert replace(evidence, apart=evidence.run).run is evidence.run


def test_the_stacks_are_those_of_the_records_where_none_are_named() -> None:
    evidence = Evidence(HISTORY.records())
    assert list(evidence.told.stacks) == [7]
    named = told(NOTHING)
    assert replace(evidence, named=named).told is named


def test_what_was_made_of_the_evidence_is_no_part_of_it() -> None:
    evidence = Evidence(HISTORY.records())
    made = replace(evidence, apart=take_apart(evidence.records), named=told(evidence.records))
    assert made == evidence
    assert repr(made) == repr(evidence)


def test_a_result_is_what_it_says_whatever_evidence_it_keeps() -> None:
    one = result("test/scenario", HISTORY)
    without = one.without_pictures()
    assert without == one
    assert repr(without) == repr(one)
