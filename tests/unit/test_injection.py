"""Words of a hostile guest through every report: shown, and nothing else.

No terminal or CI log is steered by them, no markup is interpreted, XML and JSON stay valid, and
the page has no element that they made.
"""

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from rich.console import Console

from freeonce.audit.attempts import Where
from freeonce.audit.faults import planted
from freeonce.audit.model import Account, Rule, Verdict
from freeonce.audit.points import Points, point
from freeonce.audit.result import NOTHING, Evidence, Result
from freeonce.errors import GuestLost, Loss
from freeonce.evidence.ledger import Type, text_of
from freeonce.evidence.scenarios import parse_scenarios
from freeonce.evidence.text import printable
from freeonce.report.document import run_document
from freeonce.report.failures import print_failures
from freeonce.report.html import html_text
from freeonce.report.inspect import record_line
from freeonce.report.junit import junit_text
from freeonce.report.places import Everywhere
from freeonce.report.sarif import sarif_text
from freeonce.report.terminal import print_problems, print_report
from freeonce.report.trace import trace_bytes
from freeonce.run.conclude import conclude
from freeonce.run.hear import lost_words
from freeonce.subject.places import Frame, Place
from tests.unit.history import History, run
from tests.unit.results import HOST

HOSTILE = {
    "markup": b"[bold]x[/bold][/nothing][link=http://x]",
    "escape": b"\x1b]0;title\x07\x1b[2J\x1b[31m",
    "c1": "\x9b31mred\x9d0;title\x9c".encode(),
    "github": b"x\n::error file=a::b\n  ::set-output name=a::b\n##[error]x",
    "at-the-begin": b"::warning::x",
    "azure": b"##vso[task.complete]",
    "teamcity": b"##teamcity[buildStop comment='x']",
    "link": b"[x](http://x.example) [y](1)",
    "return": b"line\roverwritten\b\b\b\x7f",
    "bidi": "safe\u202etxt.exe\u2066".encode(),
    "xml": b"]]><!--<x y='z'>&amp;&#0;<![CDATA[",
    "script": b"<script>alert(1)</script><img src=x onerror=alert(1)>",
    "script-end": b"</script></style><script>alert(1)//",
    "attribute": b"' onload=alert(1) \" onclick=alert(1) `",
    "no-utf-8": b"\xff\xfe\xed\xb2\x80 \xc3",
    "no-characters": "\ufffe\uffff\x01\x0b\x0c".encode(),
}
SITE = 0x40


@dataclass(frozen=True)
class Told:
    """Results in which a guest put its words, and the places that a subject's file names."""

    results: list[Result]
    places: Everywhere


def told(words: bytes) -> Told:
    """Words wherever a guest has some: by the way that its bytes take, errors included."""
    field = words.replace(b"\n", b" ")
    declared = [b"-", b"-", b"1", b"-"]
    head = b"\t".join([b"scenario", b"fault/" + field, field, field, *declared, field])
    (scenario,) = parse_scenarios(head + b"\nexpect\tleak\tpool" + 3 * (b"\t" + field) + b"\n")
    faulty = run().allocate(1, 0x1000)
    _text(faulty.add(Type.STEP), words)
    _text(faulty.add(Type.LABEL, serial=1), words)
    faulty.release(0, 0, withheld=True).end().settle()
    lacking = run()
    _text(lacking.add(Type.UNSUPPORTED), words)
    lacking.end().settle()
    for history in (faulty, lacking):
        _text(history, b"fault/" + field, 0)
        history.rows[4 if history is faulty else 0]["site"] = SITE
    said = words.decode("utf-8", "surrogateescape")
    lost = lost_words(GuestLost(said, said, Loss.PANIC))
    evidence = [
        *(_heard(history) for history in (faulty, lacking)),
        Evidence(NOTHING, doubts=(said, lost), loss=Loss.PANIC),
    ]
    frame = Frame(printable(words, ""), 1, printable(words, ""))
    results = [conclude(scenario, one, 0.1) for one in evidence]
    return Told(results, Everywhere(otherwise={SITE: Place(frame, (frame,))}))


def _heard(history: History) -> Evidence:
    return Evidence(history.records(), history.memory(), account=Account.AGREE)


def _text(history: History, words: bytes, at: int = -1) -> None:
    raw = words[:24].ljust(24, b"\0")
    for place, name in enumerate(("pointer", "physical", "size")):
        history.rows[at][name] = int.from_bytes(raw[8 * place : 8 * place + 8], "little")


@pytest.fixture(params=HOSTILE)
def hostile(request: pytest.FixtureRequest) -> Told:
    return told(HOSTILE[request.param])


def steering(text: str) -> list[str]:
    """Characters that steer a terminal, or are not seen on it."""
    return [c for c in text if not c.isprintable() and c != "\n"]


def commands(text: str) -> list[str]:
    """Lines that a CI runner takes for commands: GitHub's, Azure's and TeamCity's."""
    command = re.compile(r"\s*::|.*##(\[|vso\[|teamcity\[)")
    return [line for line in text.split("\n") if command.match(line)]


def terminal(hostile: Told) -> str:
    """All that `run` and `run --fail-each` print, where colours are no escapes."""
    said = io.StringIO()
    console = Console(file=said, width=100, highlight=False, color_system=None)
    results, faults = hostile.results, planted(hostile.results)
    print_report(console, HOST, results, faults, hostile.places)
    print_problems(console, results, faults, hostile.places)
    points = [Points(one, (point(Where(1), one),)) for one in results]
    print_failures(console, points, faults, hostile.places)
    return said.getvalue()


def test_the_verdicts_are_what_they_are_without_the_words(hostile: Told) -> None:
    verdicts = [one.judgement.verdict for one in hostile.results]
    # Nobody can ask for a scenario whose name cannot be written.
    if "\\x" not in hostile.results[0].scenario.name and "\\u" not in str(hostile.results[0]):
        assert verdicts == [Verdict.FAULTY, Verdict.UNSUPPORTED, Verdict.INCOMPLETE]
    for one in hostile.results[0].judgement.findings:
        assert one.rule in (Rule.LEAK, Rule.NULL_FREE)
    assert len(hostile.results[0].judgement.findings) == 2


def test_the_terminal_is_not_steered(hostile: Told) -> None:
    said = terminal(hostile)
    assert steering(said) == []
    assert commands(said) == []


def test_lines_of_records_are_lines(hostile: Told) -> None:
    for record in hostile.results[0].evidence.records:
        assert record_line(record).isprintable()


def test_json_and_sarif_hold_only_what_can_be_shown(hostile: Told) -> None:
    results, faults = hostile.results, planted(hostile.results)
    documents = [run_document(HOST, results, faults, hostile.places)]
    documents.append(json.loads(sarif_text(results, hostile.places)))
    for text in strings(documents):
        assert steering(text) == []
        text.encode()


def test_sarif_has_no_link_of_theirs(hostile: Told) -> None:
    """A `]` behind a backslash ends no link text (SARIF 2.1.0, 3.11.6)."""
    (run,) = json.loads(sarif_text(hostile.results, hostile.places))["runs"]
    told = [*run["results"], *run["invocations"][0]["toolExecutionNotifications"]]
    assert told
    for one in told:
        assert not re.search(r"(?<!\\)\]\(", one["message"]["text"])


def strings(document: object) -> Iterator[str]:
    """Every text in a JSON document."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        yield from strings(list(document.items()))
    elif isinstance(document, list | tuple):
        for one in document:
            yield from strings(one)


def test_junit_is_xml_without_elements_of_theirs(hostile: Told) -> None:
    root = ElementTree.fromstring(junit_text(hostile.results, HOST, hostile.places).encode())
    known = {"testsuites", "testsuite", "testcase", "failure", "error", "skipped", "properties"}
    known |= {"property", "system-out", "system-err"}
    assert {one.tag for one in root.iter()} <= known
    assert commands("".join(root.itertext())) == []


class Elements(HTMLParser):
    """Counts the elements of a page, and keeps their attributes' names and schemes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.active: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[tag] += 1
        self.active += [name for name, _ in attrs if name.startswith("on")]
        self.active += [value for _, value in attrs if value and value.startswith("javascript:")]


def test_the_page_has_the_elements_that_it_has_for_harmless_words(hostile: Told) -> None:
    page = Elements(page_of(hostile))
    harmless = Elements(page_of(told(b"harmless")))
    assert page.found == harmless.found
    assert page.active == []


def page_of(one: Told) -> str:
    return html_text(HOST, one.results, faults=planted(one.results), places=one.places)


def test_the_trace_can_be_made(hostile: Told) -> None:
    assert trace_bytes(hostile.results, hostile.places)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"\x1b[31mred", "\\x1b[31mred"),
        (b"a\x00b\x7f", "a\\x00b\\x7f"),
        (b"\xff\xc3", "\\xff\\xc3"),
        ("\u202egnp.exe".encode(), "\\u202egnp.exe"),
        ("na\u00efve \u6f22\u5b57".encode(), "na\u00efve \u6f22\u5b57"),
        (b"a\r\nb\r\r\nc", "a\nb\nc"),
        (b"over\rwritten", "over\\rwritten"),
    ],
)
def test_what_cannot_be_shown_is_an_escape(raw: bytes, shown: str) -> None:
    assert printable(raw) == shown
    # What went through once goes through again as it is.
    assert printable(printable(raw)) == shown


def test_a_label_has_one_line() -> None:
    history = History().add(Type.STEP)
    _text(history, b"one\n::error::two")
    assert text_of(history.records()[0]) == "one\\n::error::two"
