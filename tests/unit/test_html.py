"""The page as text: whole, inert, and honest. What a browser makes of it: tests/browser."""

import base64
import gzip
import hashlib
import json
import re

import pytest

from freeonce.audit.points import Outcome, Point
from freeonce.audit.result import Result
from freeonce.evidence.ledger import Kind, Type
from freeonce.report.html import LEAST, MOST, html_text, limits
from tests.unit.history import History, run
from tests.unit.results import HOST, result, told

HOSTILE = (
    "</script><script>document.title='hurt'</script>",
    "<img src=x onerror=\"document.title='hurt'\">",
    '"onpointerover="document.title=1" x="',
    "'; alert(1); //",
    "{{ 7 * 7 }}{% raw %}",
    "<!--<script>",
    "]]>&lt;&amp;\u2028\u2029",
)


def leaking() -> History:
    history = run().allocate(1, 0x1000).text(Type.LABEL, "foo", serial=1).release(1, 0x1000)
    return history.allocate(2, 0x2000, kind=Kind.CONTIGUOUS).end().settle()


def drawings(page: str) -> list[dict[str, object]]:
    match = re.search(r'<script type="text/plain" id="drawings">(.*?)</script>', page, re.S)
    assert match
    lines = match[1].strip().splitlines()
    return [json.loads(gzip.decompress(base64.b64decode(line))) for line in lines]


def test_each_scenario_has_its_row_and_its_drawing() -> None:
    page = html_text(HOST, [result("a/leak", leaking()), result("a/clean", run().end().settle())])
    leak, clean = drawings(page)
    assert [bar["name"] for bar in leak["bars"]] == ["foo", None]  # type: ignore[attr-defined]
    assert leak["findings"][0]["rule"] == "leak"  # type: ignore[index]
    assert clean["bars"] == []
    assert page.count('class="scenario"') == 2
    assert ">a/leak</button>" in page


def test_the_witnesses_stand_in_their_order() -> None:
    (drawing,) = drawings(html_text(HOST, [result("a/leak", leaking())]))
    assert list(drawing["witnesses"]) == ["ledger", "kernel", "memory"]  # type: ignore[call-overload]


def test_it_needs_no_network_and_runs_only_its_own_script() -> None:
    page = html_text(HOST, [result("a/leak", leaking())])
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    assert "default-src 'none'" in policy[1]
    script = page[page.rindex("<script>") + len("<script>") : page.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy[1]


@pytest.mark.parametrize("words", HOSTILE)
def test_words_of_the_guest_are_text(words: str) -> None:
    harmless = html_text(HOST, [result("a", leaking())])
    one = told(result("a", leaking()), name=words, section=words, lesson=words)
    page = html_text({**HOST, "kernel": words}, [one])
    for tag in ("<script", "</script", "<img", "<button", "<!--"):
        assert page.count(tag) == harmless.count(tag)
    assert drawings(page)[0]["lesson"] == words


def test_what_is_left_out_is_said() -> None:
    history = run()
    for serial in range(1, MOST.bars + 11):
        history.allocate(serial, 0x100 * serial).release(serial, 0x100 * serial)
    (drawing,) = drawings(html_text(HOST, [result("a/many", history.end().settle())]))
    assert len(drawing["bars"]) == MOST.bars  # type: ignore[arg-type]
    assert any("10 more allocations are not drawn" in line for line in drawing["left_out"])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("scenarios", "most"), [(1, MOST), (150, MOST), (5_000, LEAST), (10**6, LEAST)]
)
def test_many_scenarios_are_drawn_with_less_each(scenarios: int, most: object) -> None:
    assert limits(scenarios) == most


def test_rules_that_were_violated_are_explained() -> None:
    page = html_text(HOST, [result("a/leak", leaking())])
    assert '<article id="rule-leak">' in page
    assert '<article id="rule-null-free">' not in page


def test_what_is_not_as_expected_says_what_was() -> None:
    (drawing,) = drawings(html_text(HOST, [result("a/leak", leaking())]))
    assert drawing["expected"] == "Not as expected. Expected: clean."


def test_a_run_without_evidence_has_a_page_too() -> None:
    one = result("a/lost", History())
    bare = Result(one.scenario, one.judgement, False, {}, 0.0)
    (drawing,) = drawings(html_text(HOST, [bare]))
    assert drawing["bars"] == drawing["stretches"] == []


def test_failure_points_have_a_table() -> None:
    plain = result("a/b", leaking())
    point = Point("a/b", 3, True, Outcome.LEAKED, 0x40, "2 bytes <lost>", plain)
    page = html_text(HOST, [plain], points=[point])
    assert "2 bytes &lt;lost&gt;" in page
    assert "3 and all after" in page
