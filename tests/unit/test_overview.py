"""The page of a campaign: what its map and its tables hold."""

import base64
import gzip
import json
import re
from typing import Any

import pytest

from freeonce.campaign.overview import (
    BUCKETS,
    LISTED,
    REASONS,
    buckets,
    columns,
    incomplete,
    moment,
)
from freeonce.campaign.overview import page as page_of
from freeonce.campaign.store import Kept
from freeonce.campaign.summary import summary
from tests.unit.test_html import HOSTILE

LEAK = {"rule": "leak", "family": "slab", "function": "init"}


def kept(name: str, number: int = 0, verdict: str = "clean", **other: Any) -> Kept:
    document = {"findings": [LEAK] if verdict == "faulty" else [], "reasons": []}
    values: dict[str, Any] = {
        **{"key": f"{name}-{number}-0123456789abcdef", "kind": "scenario", "name": name},
        **{"number": number, "verdict": verdict, "as_expected": verdict == "clean"},
        **{"seconds": 0.25, "finished": 100.0 + number, "worker": "here:1"},
        **{"task": {"kind": "scenario", "name": name, "number": number}, "document": document},
    }
    return Kept(**{**values, **other})


def page(results: list[Kept], title: str, **other: Any) -> str:
    return page_of([summary(one) for one in results], title, **other)


def data(text: str) -> dict[str, Any]:
    packed = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert packed
    read: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed[1])))
    return read


def test_a_row_is_a_task_and_a_column_its_repetition() -> None:
    three = (kept("a", 0), kept("a", 1, "faulty"), kept("b", 0, "incomplete"))
    shown = columns(map(summary, three))
    assert shown["names"] == ["a", "b"]
    assert (shown["row"], shown["number"]) == ([0, 0, 1], [0, 1, 0])
    verdicts = shown["verdicts"]
    assert isinstance(verdicts, list)
    clean, faulty, lost = map(verdicts.index, ("clean", "faulty", "incomplete"))
    assert shown["verdict"] == [clean, faulty + 8, lost + 8]
    assert shown["words"] == ["", "leak slab init", "no reason was kept"]
    assert (shown["said"], shown["ms"]) == ([0, 1, 2], [250] * 3)


def test_a_failure_point_is_a_cell_below_its_target() -> None:
    def point(number: int, outcome: str, **other: Any) -> dict[str, Any]:
        as_expected = outcome == "handled"
        plain = {"number": number, "after": False, "outcome": outcome, "detail": ""}
        return {**plain, "as_expected": as_expected, **other}

    points = [
        point(1, "handled"),
        point(2, "leaked", detail="leak"),
        point(3, "crashed"),
        point(3, "handled", after=True),
    ]
    document = {"findings": [], "failures": {"points": points}}
    task = {"kind": "audit", "name": "a", "fail_each": "load"}
    shown = data(page([kept("a", document=document, task=task), kept("b")], "s"))
    row = [shown["names"][number] for number in shown["row"]]
    label = "a --fail-each=load"
    assert row == [label, *[f"{label} failing N"] * 3, f"{label} failing N+", "b"]
    assert shown["number"] == [0, 1, 2, 3, 3, 0]
    clean, faulty, lost = map(shown["verdicts"].index, ("clean", "faulty", "incomplete"))
    assert shown["verdict"] == [clean, clean, faulty + 8, lost + 8, clean, clean]
    assert shown["words"][shown["said"][2]] == "leaked; leak"


def test_each_kernel_has_a_row_of_its_own() -> None:
    results = [kept("a", task={"name": "a", "kernel": kernel}) for kernel in ("cloud", "6.12")]
    assert data(page(results, "s"))["names"] == ["a (cloud)", "a (6.12)"]


def test_audits_with_other_words_have_rows_of_their_own() -> None:
    def audit(finished: float, **task: str) -> Kept:
        return kept("loop", finished=finished, task={"kind": "audit", "name": "loop", **task})

    text = page([audit(1, params="a=1"), audit(2, fail_each="load"), audit(3, image="new")], "s")
    assert data(text)["names"] == ["loop a=1", "loop --fail-each=load", "loop"]


def test_what_is_not_shown_is_counted() -> None:
    text = page([kept("a")], "s", of_before=3, awaited=7)
    assert "3 results of before (of another plan, image or harness) are not shown" in text
    assert "7 of the plan are not there yet" in text
    assert "of before" not in page([kept("a")], "s")
    assert "not there yet" not in page([kept("a")], "s")


def test_what_is_found_under_one_accelerator_is_not_hidden_by_another() -> None:
    def under(accel: str, verdict: str) -> Kept:
        return kept("a", verdict=verdict, task={"name": "a", "accel": accel})

    text = page([under("tcg", "faulty"), under("kvm", "clean")], "s")
    assert data(text)["names"] == ["a", "a (kvm)"]


def test_the_reasons_of_lives_are_words_and_their_rows_are_bounded() -> None:
    reasons = [{"reason": "guest-lost", "message": "an oops"}]
    document = {"reasons": reasons, "doubts": ["an oops", "torn"]}
    assert incomplete([summary(kept("a", 0, "incomplete", document=document))]) == [
        ("an oops", 1, "a (0)"),
        ("torn", 1, "a (0)"),
    ]
    many = [
        kept("a", number, "incomplete", document={"reasons": [f"why {number}"]})
        for number in range(REASONS + 3)
    ]
    assert "3 more reasons are in the map" in page(many, "s")


def test_why_results_are_incomplete_the_most_frequent_first() -> None:
    def lost(number: int, *reasons: str) -> Kept:
        return kept("a", number, "incomplete", document={"reasons": list(reasons)})

    three = (lost(0, "the guest was lost"), lost(1, "x", "the guest was lost"), lost(2))
    assert incomplete(map(summary, three)) == [
        ("the guest was lost", 2, "a (0)"),
        ("x", 1, "a (1)"),
        ("no reason was kept", 1, "a (2)"),
    ]
    assert incomplete([summary(kept("a", 0, "faulty", document={"reasons": ["unsure"]}))]) == []


@pytest.mark.parametrize("times", [[5.0], [5.0, 5.0], [0.0, 1e9], [3.0, 1.0, 2.0]])
def test_each_result_is_in_one_slice_of_time(times: list[float]) -> None:
    results = [summary(kept("a", number, finished=time)) for number, time in enumerate(times)]
    found = buckets(results)
    assert len(found) == BUCKETS
    assert sum(one["clean"] for one in found) == len(times)
    if len(set(times)) > 1:
        assert found[0]["clean"] == found[-1]["clean"] == 1


def test_a_clock_that_is_far_off_is_told_and_breaks_nothing() -> None:
    assert moment(0.0) == "1970-01-01 00:00:00 UTC"
    for off in (1e18, -1e18, float("inf")):
        assert moment(off).startswith("second ")
    assert "second 1e+18" in page([kept("a", finished=1e18)], "s")


def test_a_store_without_results_is_a_page_too() -> None:
    assert buckets([]) == []
    assert "0 results" in page([], "empty")


def test_what_is_not_listed_is_counted() -> None:
    results = [kept("a", number, "faulty") for number in range(LISTED + 7)]
    text = page(results, "s")
    assert "7 more are in the map" in text
    assert len(data(text)["row"]) == LISTED + 7


@pytest.mark.parametrize("words", HOSTILE)
def test_words_of_the_guest_are_text(words: str) -> None:
    def whole(said: str) -> str:
        document = {"findings": [], "reasons": [said]}
        return page([kept(said, 0, "incomplete", document=document, worker=said)], said)

    for tag in ("<script", "</script", "<img", "<button", "<!--", "<td"):
        assert whole(words).count(tag) == whole("harmless").count(tag)
