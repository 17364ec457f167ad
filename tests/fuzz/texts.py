"""Words of the guest: table of scenarios, account, control line, console, doubts."""

import io
import socket
import time

from rich.console import Console as Terminal

from freeonce.audit.result import NOTHING, Evidence
from freeonce.deadline import Deadline
from freeonce.errors import CommandFailed, EvidenceError, GuestLost
from freeonce.evidence.account import parse_account
from freeonce.evidence.scenarios import parse_scenarios
from freeonce.machine.console import Console
from freeonce.machine.control import Control
from freeonce.report.document import scenario_document
from freeonce.run.choose import select
from freeonce.run.conclude import conclude
from freeonce.run.hear import lost_words
from tests.fuzz.ledgers import write_everything

SECONDS = 2.0


def table(data: bytes) -> None:
    """The table of scenarios, and reports with its names in them."""
    try:
        scenarios = parse_scenarios(data)
    except EvidenceError:
        return
    for one in scenarios:
        scenario_document(one)
    chosen = select(scenarios, ())[:20]
    words = data[:300].decode("utf-8", "replace")
    evidence = Evidence(NOTHING, doubts=(lost_words(GuestLost(words, words)),))
    write_everything([conclude(one, evidence, 0.1) for one in chosen])


def account(data: bytes) -> None:
    """The guest's own account of its ledger."""
    try:
        parse_account(data)
    except CommandFailed as error:
        _said(error)


def control(data: bytes) -> None:
    """What comes on the control line where an answer is due."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data[:4096])
        theirs.shutdown(socket.SHUT_WR)
        line = Control(ours, lambda: None)
        try:
            for _ in range(3):
                line.ask("ping", Deadline(SECONDS, "the fuzzer"))
        except (CommandFailed, GuestLost) as error:
            _said(error)


def console(data: bytes) -> None:
    """What the guest prints."""
    ours, theirs = socket.socketpair()
    with ours:
        reader = Console(ours)
        with theirs:
            theirs.sendall(data[:4096])
        began = time.monotonic()
        for line in reader.lines(Deadline(SECONDS, "the fuzzer")):
            assert line.isprintable() or "\t" in line
        assert time.monotonic() - began < SECONDS
        heard: list[bytes] = []
        reader.join(heard.append)
        reader.tail()


def _said(error: Exception) -> None:
    """An error of the guest's words goes to the terminal."""
    Terminal(file=io.StringIO()).print(str(error), markup=False)
