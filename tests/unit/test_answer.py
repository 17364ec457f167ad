"""Answers of workers, which another host may have written: only what all readers bear is kept."""

import json
from typing import Any

import pytest
from junitparser import JUnitXml

from freeonce.campaign.compare import findings, in_short
from freeonce.campaign.junit import junit_parts
from freeonce.campaign.outcome import Outcome, from_text, to_text
from freeonce.campaign.overview import page
from freeonce.campaign.sarif import sarif_text
from freeonce.campaign.summary import summary
from freeonce.errors import EvidenceError
from tests.unit.test_overview import kept

FOUND = {"rule": "leak", "message": "8 bytes"}
POINT = {"number": 1, "after": False, "outcome": "leaked", "as_expected": False}


def answer(document: object = None, **other: object) -> str:
    whole: dict[str, Any] = json.loads(to_text(Outcome("faulty", False, 1.0, "w", {})))
    return json.dumps(whole | {"document": {} if document is None else document} | other)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (answer(verdict="banana"), "verdict"),
        (answer(verdict=""), "refuses nothing"),
        (answer(as_expected=1), "as_expected"),
        (answer(seconds=-1), "seconds"),
        (answer(seconds=1e308), "seconds"),
        (answer(seconds="1"), "seconds"),
        (answer(more=1), "more"),
        (answer([]), "document"),
        (answer({"findings": 5}), "findings"),
        (answer({"findings": [FOUND | {"rule": "banana"}]}), "findings.0.rule"),
        (answer({"findings": [{"rule": "leak"}]}), "findings.0.message"),
        (answer({"failures": {"points": [{}]}}), "failures.points.0.number"),
        (answer({"failures": {"points": [POINT | {"outcome": "odd"}]}}), "outcome"),
        (answer({"failures": {"points": [POINT | {"named": [{}]}]}}), "named.0.rule"),
        (answer({"reasons": [1]}), "reasons"),
        (answer({"host": 5}), "host"),
        (answer().replace("1.0", "1" + "0" * 400), "seconds"),
        (answer({"x": 1}).replace('"x": 1', '"x": NaN'), "cannot be read"),
        (answer({"x": 1}).replace('"x": 1', '"x": 1e999'), "cannot be read"),
        (answer({"x": 1}).replace('"x": 1', '"x": ' + "[" * 100_000), "cannot be read"),
    ],
)
def test_what_no_reader_of_a_store_bears_is_no_answer(text: str, words: str) -> None:
    with pytest.raises(EvidenceError, match="a worker's answer") as refused:
        from_text(text)
    assert words in str(refused.value)


def test_incomplete_is_as_expected_only_in_a_census() -> None:
    text = answer(verdict="incomplete", as_expected=True)
    assert from_text(text, "census").as_expected
    for kind in ("scenario", "audit"):
        with pytest.raises(EvidenceError, match="incomplete, and as expected"):
            from_text(text, kind)


@pytest.mark.parametrize("odd", ["\x1b]0;x\x07", "\x00", "\ud800", "\u202e", "\x9b31m"])
def test_what_cannot_be_shown_is_kept_as_an_escape(odd: str) -> None:
    document = {"findings": [FOUND | {"function": odd}], "reasons": [odd], odd: odd}
    found = from_text(answer(document, worker=odd))
    assert odd not in json.dumps([found.worker, found.document], ensure_ascii=False)
    one = kept("a", 0, "incomplete", document=found.document)
    for report in (
        "".join(junit_parts([one])),
        sarif_text([one]),
        page([summary(one)], "s"),
        in_short(found.document),
    ):
        assert report
    assert JUnitXml.fromstring("".join(junit_parts([one])))
    assert odd not in "".join(findings(found.document))
