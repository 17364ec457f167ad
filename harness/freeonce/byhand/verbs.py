"""The shell's verbs on a guest: each takes what follows it and yields lines to print."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from freeonce.byhand import guests
from freeonce.byhand.session import Session
from freeonce.byhand.terminal import LEAVE, attach
from freeonce.errors import UsageError
from freeonce.evidence.ledger import parse_records
from freeonce.evidence.vmcb import VMCB_BYTES
from freeonce.guest import Guest
from freeonce.report.inspect import hex_lines, record_line, vmcb_lines
from freeonce.report.words import sentence

PAGE_BYTES = 4096
FOLLOW_SECONDS = 0.1

Lines = Iterator[str]


def scenarios(session: Session, argument: str) -> Lines:
    """The scenarios, as the guest declares them."""
    _nothing(argument)
    for one in session.guest.scenarios():
        yield f"{one.name:<56} {one.lesson}"


def run(session: Session, argument: str) -> Lines:
    """NAME: run a scenario. What it leaves stays to be looked at until `audit` or another run."""
    if not argument:
        raise UsageError("run what? `run NAME`; `scenarios` shows the names")
    count = session.run(argument)
    yield f"{argument}: {count} records; `ledger` shows them, `audit` judges them"


def ledger(session: Session, argument: str) -> Lines:
    """[--follow]: the ledger's records; with --follow also those to come, until Ctrl-C."""
    if argument not in ("", "--follow"):
        raise UsageError(f"ledger takes --follow or nothing, not {argument!r}")
    seen, lines = _records(session.guest, 0)
    yield from lines
    if argument:
        yield from _follow(session.guest, seen)


def audit(session: Session, argument: str) -> Lines:
    """Judge the last run by its three witnesses."""
    _nothing(argument)
    result = session.audit()
    judgement = result.judgement
    mark = "as expected" if result.as_expected else "NOT as expected"
    yield (
        f"{result.scenario.name}: {judgement.verdict}, {mark}; "
        f"{judgement.allocations} allocations, {judgement.releases} releases"
    )
    for finding in judgement.findings:
        yield f"  {finding.rule}: {sentence(finding, result.why.get(finding))}"
    yield from (f"  {reason}" for reason in judgement.reasons)


def page(session: Session, argument: str) -> Lines:
    """GPA: the page of memory that holds this guest-physical address."""
    gpa = _page_of(session.guest, argument)
    return hex_lines(gpa, session.guest.monitor.read_memory(gpa, PAGE_BYTES))


def vmcb(session: Session, argument: str) -> Lines:
    """GPA: the VMCB at this guest-physical address, field by field."""
    gpa = _page_of(session.guest, argument)
    return vmcb_lines(gpa, session.guest.monitor.read_memory(gpa, VMCB_BYTES))


def console(session: Session, argument: str) -> Lines:
    """The guest's console: what its kernel says, and a shell, until Ctrl-]."""
    _nothing(argument)
    yield f"Enter gives a shell, {LEAVE}."
    yield "\ndetached" if attach(guests.of(session.guest).console) else "\nthe guest is gone"


def pause(session: Session, argument: str) -> Lines:
    """Hold the guest still."""
    _nothing(argument)
    session.guest.monitor.execute("stop")
    yield session.guest.monitor.status()


def resume(session: Session, argument: str) -> Lines:
    """Let it run again."""
    _nothing(argument)
    session.guest.monitor.execute("cont")
    yield session.guest.monitor.status()


def fresh(session: Session, argument: str) -> Lines:
    """Another guest, in place of this one."""
    _nothing(argument)
    session.fresh()
    yield "another guest"


VERBS: dict[str, Callable[[Session, str], Lines]] = {
    verb.__name__: verb
    for verb in (scenarios, run, ledger, audit, page, vmcb, console, pause, resume, fresh)
}


def _nothing(argument: str) -> None:
    if argument:
        raise UsageError(f"nothing was expected here: {argument!r}")


def _page_of(guest: Guest, argument: str) -> int:
    """The start of the page that the address lies in. Raises UsageError."""
    try:
        gpa = int(argument, 0)
    except ValueError:
        raise UsageError(f"{argument!r} is no address; write it as 0x8000000") from None
    if not 0 <= gpa < guest.config.memory:
        raise UsageError(
            f"{gpa:#x} is outside of the guest's memory, 0 to {guest.config.memory:#x}"
        )
    return gpa - gpa % PAGE_BYTES


def _records(guest: Guest, first: int) -> tuple[int, list[str]]:
    """How many records there are now, and those from `first` as lines."""
    header, data = guest.window(first)
    parsed = parse_records(data, first)
    lines = [record_line(record) for record in parsed.records]
    if parsed.torn or parsed.damaged:
        lines.append(f"{parsed.torn} more were never finished, {parsed.damaged} are damaged")
    return header.count, lines


def _follow(guest: Guest, seen: int) -> Lines:
    with _pressed() as pressed:
        while not pressed:
            time.sleep(FOLLOW_SECONDS)
            if guest.header().count < seen:
                yield "the ledger begins anew"
                seen = 0
            seen, lines = _records(guest, seen)
            yield from lines


@contextmanager
def _pressed() -> Iterator[list[int]]:
    """Ctrl-C is noted, not raised: a question to QEMU is never left in the middle."""
    pressed: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        pressed.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)
