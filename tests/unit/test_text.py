"""Words of the guest: nothing of them moves a cursor, speaks to a log or vanishes."""

import io
import json
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from freeonce.audit.result import Evidence, Result
from freeonce.evidence.ledger import Type, text_of
from freeonce.evidence.scenarios import Scenario
from freeonce.evidence.text import one_line, printable, without_controls
from freeonce.report.document import run_document
from freeonce.report.junit import junit_text
from freeonce.report.sarif import sarif_text
from freeonce.report.terminal import print_report
from freeonce.run.conclude import conclude
from tests.unit.history import run
from tests.unit.results import HOST

HOSTILE = "\x1b[2J\x08\x01\u202e\ufffe\ud800[red]x[/]]]>&<b>\n::error::"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain \xc3\xa4", "plain \u00e4"),
        (b"\x1b[31m", r"\x1b[31m"),
        (b"\x00\x7f\xff", r"\x00\x7f\xff"),
        ("\u202eabc", r"\u202eabc"),
        ("\ud800", r"\ud800"),
        ("\U000e0001", r"\U000e0001"),
        ("one\r\ntwo\r", "one\ntwo"),
        ("over\rwritten", r"over\rwritten"),
        ("a\tb\nc", "a\tb\nc"),
        ("::error::x", r"\x3a:error::x"),
        ("a ::b\n::c", "a \\x3a:b\n\\x3a:c"),
        ("##[error]x ###vso[a] a##teamcity[b]", r"\x23#[error]x #\x23#vso[a] a\x23#teamcity[b]"),
        ("a::b :: ## a [b]", "a::b :: ## a [b]"),
    ],
)
def test_what_cannot_be_shown_is_an_escape(raw: bytes | str, shown: str) -> None:
    assert printable(raw) == shown


@given(st.one_of(st.binary(), st.text(st.characters())))
def test_a_name_is_one_line_of_what_can_be_shown(raw: bytes | str) -> None:
    text = one_line(raw)
    assert text == "" or text.isprintable()
    assert len(text) >= len(raw if isinstance(raw, str) else raw.decode("utf-8", "ignore"))


def test_of_what_cannot_be_shown_a_terminal_gets_what_it_may() -> None:
    assert without_controls("a\x1b[2J\tb\n\u202ec", "\n") == "a[2Jb\nc"
    assert without_controls("a\x1b[2J\tb\n", "\x1b\t") == "a\x1b[2J\tb"


def test_a_label_cannot_speak_to_who_reads_the_log() -> None:
    records = run().text(Type.LABEL, "a\n::error::x", serial=1).records()
    assert text_of(records[-1]) == r"a\n::error::x"


def hostile() -> Result:
    """A result whose reasons quote the guest's side of an SSH connection."""
    history = run().allocate(1, 0x1000).text(Type.LABEL, "\x1b\x08\n]]>", serial=1).end().settle()
    evidence = Evidence(history.records(), history.memory(), (HOSTILE,))
    scenario = Scenario(0, "test/scenario", "S", "C", None, "L.", ())
    return conclude(scenario, evidence, 0.1)


def shown() -> dict[str, str]:
    """What each writer makes of it."""
    results = [hostile()]
    terminal = io.StringIO()
    print_report(Console(file=terminal, width=80), HOST, results)
    return {
        "terminal": terminal.getvalue(),
        "junit": junit_text(results),
        "json": json.dumps(run_document(HOST, results)),
        "sarif": sarif_text(results),
    }


@pytest.mark.parametrize("writer", ["terminal", "junit", "json", "sarif"])
def test_no_report_has_a_raw_escape(writer: str) -> None:
    text = shown()[writer]
    assert all(character.isprintable() or character in "\n\t" for character in text)
    assert "x1b[2J" in text


def test_xml_stays_valid_and_tells_all() -> None:
    tree = ElementTree.fromstring(shown()["junit"])
    text = "".join(tree.itertext())
    assert r"\x1b[2J\x08\x01\u202e\ufffe\ud800[red]x[/]]]>&<b>" in text
