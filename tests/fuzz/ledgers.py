"""A window of hostile bytes, judged and written in every format."""

import io
import json
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np
from rich.console import Console

from freeonce.audit import memory
from freeonce.audit.attempts import Where, attempts
from freeonce.audit.faults import Planted, planted
from freeonce.audit.memory import Memory
from freeonce.audit.model import Account, Asked
from freeonce.audit.points import Points, point
from freeonce.audit.result import Evidence, Result
from freeonce.audit.run import Run, take_apart
from freeonce.errors import EvidenceError
from freeonce.evidence.ledger import (
    GUARD_BYTES,
    GUARD_LIVE,
    GUARD_RELEASED,
    HEADER_BYTES,
    POISON_RELEASED,
    RECORD,
    RECORD_BYTES,
    Records,
    parse_header,
    seal,
)
from freeonce.evidence.scenarios import Expectation, Scenario
from freeonce.evidence.snapshot import Extent, Snapshot
from freeonce.report.document import run_document
from freeonce.report.failures import failures_document, print_failures
from freeonce.report.html import html_text
from freeonce.report.inspect import record_line
from freeonce.report.junit import junit_text
from freeonce.report.places import Everywhere
from freeonce.report.sarif import sarif_text
from freeonce.report.terminal import print_problems, print_report
from freeonce.report.trace import trace_bytes
from freeonce.run.conclude import conclude
from freeonce.run.hear import weigh
from freeonce.subject.places import Frame, Place
from tests.unit.results import HOST

CAPACITY = 256
WINDOW = HEADER_BYTES + CAPACITY * RECORD_BYTES
HEAD = 112
"""Bytes of the input that stand for the header; zeros follow it."""
RAM = 256 << 20
LOOK = 1 << 20
PAGE_OFFSET = 0xFFFF_8880_0000_0000

SEALED, LOOKED, TRUE, TOLD, UNLOADED, REAL = (1 << bit for bit in range(6))
"""Bits of the input's first byte: what of the evidence is as it would be without a lie."""
WRITERS = 6
"""The two bits from here choose who writes, since one writer is slower than the judgement."""

SCENARIO = Scenario(
    index=0,
    name="fault/leak/pool/c",
    section="Faults",
    language="C",
    needs=None,
    lesson="A lesson.",
    expected=(Expectation("leak", "pool", at="here", what="it", because="it does"),),
)
PLACE = Place(Frame("guest/x.c", 1, "f"), (Frame("guest/x.c", 1, "f"),))


def judge_and_report(data: bytes) -> None:
    """From bytes to every report. Raises nothing but EvidenceError, and that is caught."""
    options, header, body = data[0] if data else 0, data[1 : 1 + HEAD], data[1 + HEAD :]
    try:
        parse_header(header.ljust(HEADER_BYTES, b"\0"), WINDOW)
    except EvidenceError:
        if options & TOLD:
            return
    window = body[: CAPACITY * RECORD_BYTES]
    if options & SEALED:
        window = sealed(window)
    write([_result(window, options)], options >> WRITERS)


def sealed(window: bytes) -> bytes:
    """The whole records of it with sequence and check as an honest writer sets them."""
    records = _records(window).copy()
    records["sequence"] = range(1, len(records) + 1)
    return seal(records).tobytes()


def _records(window: bytes) -> Records:
    return np.frombuffer(window, RECORD, count=len(window) // RECORD_BYTES)


def _result(window: bytes, options: int) -> Result:
    records, doubts = weigh(window, 0, 0)
    evidence = Evidence(
        records,
        _looked(records, options) if options & LOOKED else None,
        doubts,
        Account.AGREE,
        unloaded=records if options & UNLOADED else None,
        asked=Asked(2, 8 if options & REAL else 0),
    )
    return conclude(SCENARIO, evidence, 0.1)


def _looked(records: Records, options: int) -> Memory:
    """What the host would read, within its bounds: memory as it should be, or zeros."""
    run = take_apart(records)
    wanted = memory.wanted(run, PAGE_OFFSET)
    parts, read = {}, 0
    for one in wanted.extents:
        read += one.size
        if one.end <= RAM and read <= LOOK:
            parts[one.gpa] = _true(one, run) if options & TRUE else bytes(one.size)
    # By the ledger's own word, as an allocation's page tables would have it.
    pairs = [(int(one["pointer"]), int(one["physical"])) for one in run.allocates]
    shift = {gva: gpa for gva, gpa in pairs}
    gpas: dict[int, int | None] = {}
    begin = 0
    for gva in wanted.gvas:
        begin = gva if gva in shift else begin
        # Behind the last allocation pages of static memory follow, which lie anywhere.
        gpas[gva] = shift[begin] + gva - begin if begin in shift and gva >= begin else None
    return Memory(Snapshot(parts.items()), gpas, PAGE_OFFSET, wanted.unread)


def _true(extent: Extent, run: Run) -> bytes:
    """Poison and a guard that fit the allocation that ends there."""
    for allocate in run.allocates:
        if int(allocate["physical"]) + int(allocate["size"]) + GUARD_BYTES == extent.end:
            live = extent.size == GUARD_BYTES
            pattern = GUARD_LIVE if live else GUARD_RELEASED
            guard = memory._guard(allocate, pattern)
            return bytes([POISON_RELEASED]) * (extent.size - GUARD_BYTES) + guard
    return bytes(extent.size)


def write(results: list[Result], which: int) -> None:
    """One group of the reports of these results."""
    named = {one.site for result in results for one in result.judgement.findings}
    places = Everywhere(otherwise=dict.fromkeys(sorted(named)[:2], PLACE))
    (_programs, _tools, _page, _people)[which](results, planted(results), places)


def write_everything(results: list[Result]) -> None:
    """Each report of these results; and the lines of those who look by hand."""
    for which in range(4):
        write(results, which)


def _programs(results: list[Result], faults: Sequence[Planted], places: Everywhere) -> None:
    json.loads(json.dumps(run_document(HOST, results, faults, places)))
    for one in results:
        for record in one.evidence.records:
            record_line(record)


def _tools(results: list[Result], _: Sequence[Planted], places: Everywhere) -> None:
    # libxml2 would take what is no XML; expat does not.
    ElementTree.fromstring(junit_text(results, HOST, places))
    json.loads(sarif_text(results, places))
    trace_bytes(results, places)


def _page(results: list[Result], faults: Sequence[Planted], places: Everywhere) -> None:
    html_text(HOST, results, faults=faults, places=places)


def _people(results: list[Result], faults: Sequence[Planted], places: Everywhere) -> None:
    said = io.StringIO()
    console = Console(file=said, width=80, highlight=False, color_system=None)
    print_report(console, HOST, results, faults, places)
    print_problems(console, results, faults, places)
    points = [
        Points(one, (point(Where(1), one),))
        for one in results
        if attempts(one.evidence.records) is not None
    ]
    print_failures(console, points, faults, places)
    json.dumps(failures_document(HOST, points, faults, places))
    raw = [c for c in said.getvalue() if not c.isprintable() and c not in "\n\t"]
    assert not raw, f"control characters on the terminal: {raw[:5]}"
