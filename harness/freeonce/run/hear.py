"""The one place that hears a run's witnesses: runs a scenario and reads its evidence twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from freeonce.audit import cpu_state, memory
from freeonce.audit.frame import before_begin
from freeonce.audit.memory import Memory
from freeonce.audit.model import Account, Asked
from freeonce.audit.phases import untouched
from freeonce.audit.result import NOTHING, Evidence
from freeonce.audit.run import Run, joined, settled, take_apart
from freeonce.errors import CommandFailed, EvidenceError, GuestLost, Loss
from freeonce.evidence.ledger import (
    RECORD_BYTES,
    Flag,
    Header,
    Parsed,
    Records,
    Type,
    parse_records,
)
from freeonce.evidence.quote import quoted
from freeonce.evidence.scenarios import Scenario
from freeonce.guest import Guest
from freeonce.guest.drain import Drain
from freeonce.guest.reading import Readable
from freeonce.machine.mapped import mapped
from freeonce.run.task import Options

LIFE = "life"
"""The name of a run that is a life."""


def hear(guest: Guest, scenario: Scenario, options: Options) -> tuple[Evidence, bool]:
    """Run a scenario. All evidence of it, and whether the guest is fit for another."""
    try:
        before = guest.header()
        if before.count > before.capacity // 2:
            guest.rewind()
            before = guest.header()
        try:
            guest.run(f"{scenario.name} {options.command}".strip(), options.seconds)
            return collect(guest, before, options.command)
        except CommandFailed as error:
            # It said no, and nothing began; or it was killed in the middle.
            fit = guest.header().count == before.count
            return Evidence(NOTHING, doubts=(str(error),)), fit
        except GuestLost as error:
            return salvage(guest, before, error, options.command), False
    except EvidenceError as error:
        return Evidence(NOTHING, doubts=(str(error),), loss=Loss.LEDGER), False
    except CommandFailed as error:
        return Evidence(NOTHING, doubts=(str(error),)), False
    except GuestLost as error:
        return Evidence(NOTHING, doubts=(lost_words(error),), loss=error.loss), False


def weigh(host_bytes: bytes, first: int, dropped: int) -> tuple[Records, tuple[str, ...]]:
    """The records of a run in the bytes that the host read, and what is wrong with those."""
    return _weighed(parse_records(host_bytes, first), dropped)


def _weighed(parsed: Parsed, dropped: int) -> tuple[Records, tuple[str, ...]]:
    doubts = []
    if dropped:
        doubts.append(f"the ledger is full: {dropped} records were dropped")
    if parsed.torn:
        doubts.append(f"{parsed.torn} records of the ledger were never finished")
    if parsed.damaged:
        doubts.append(f"{parsed.damaged} records of the ledger are damaged")
    # What the run before left may be given back only now, when nobody settled it.
    begins = np.flatnonzero(parsed.records["type"] == Type.BEGIN)
    start = int(begins[0]) if len(begins) else 0
    earlier, records = parsed.records[:start], parsed.records[start:]
    return records, (*doubts, *before_begin(earlier, records))


def asked_of(guest: Guest, command: str) -> Asked:
    """What the host knows of a run without the guest.

    `command`: words for its `run` file, or LIFE.
    """
    if command == LIFE:
        return Asked(guest.config.cpus, Flag.LIFE)
    return Asked(guest.config.cpus, Flag.REAL if "act=real" in command.split() else 0)


@dataclass(frozen=True)
class Early:
    """The ledger before the run was settled, and the memory it speaks of: of one moment.

    `data`: as it stood in the window. `records`, `doubts`: what `weigh` makes of that, and of what
    was drained before. `run`: the records taken apart.
    """

    data: bytes
    records: Records
    doubts: tuple[str, ...]
    run: Run
    memory: Memory | None


def look(guest: Guest, before: Header, drained: Drain | None = None) -> Early:
    """Read both while the guest stands still. Raises EvidenceError when there is no ledger."""
    with guest.monitor.paused():
        first = drained.next if drained else before.count
        _, data = guest.window(first, drained=first if drained else None)
        records, doubts = _weighed(_all(drained, parse_records(data, first)), 0)
        run = take_apart(records)
        return Early(data, records, doubts, run, _memory(guest, run, before.page_offset))


@contextmanager
def at_a_glance(guest: Guest) -> Iterator[Readable | None]:
    """The same guest read while it runs and past QMP; None where it cannot be."""
    with mapped(guest.config, guest.process, guest.monitor) as memory:
        yield Readable(guest.config, guest.monitor, memory.read) if memory else None


def glance(running: Readable | None, before: Header) -> Early | None:
    """What `look` would find of a life that is over and left nothing behind, where nothing moves.

    None where it is not such a life, or cannot be read: then it takes a look.
    """
    if running is None:
        return None
    try:
        header, first = running.header(), before.count
        data = running.records(first, header.count - first, header.capacity)
        records, doubts = _weighed(parse_records(data, first), 0)
        run = take_apart(records)
        wanted = memory.wanted(run, before.page_offset)
        if doubts or wanted.gvas or not run.over or not untouched(run):
            return None
        seen = Memory(running.look(wanted.extents), {}, before.page_offset, wanted.unread)
    except (EvidenceError, OSError):
        return None
    return Early(data, records, doubts, run, seen)


def _all(drained: Drain | None, *rest: Parsed) -> Parsed:
    """What was drained, with the rest."""
    return drained.with_rest(*rest) if drained else rest[0]


def _memory(guest: Guest, run: Run, page_offset: int) -> Memory | None:
    wanted = memory.wanted(run, page_offset)
    try:
        snapshot, gpas = guest.look(wanted.extents), guest.translate(wanted.gvas)
    except EvidenceError:
        return None
    return Memory(snapshot, gpas, page_offset, wanted.unread)


def whole(
    early: Early, data: bytes, first: int, dropped: int, drained: Drain | None = None
) -> Evidence:
    """The records of the settled run: those that were read early, and the tail since then.

    What differs from before, or is more than settling, is weighed and taken apart anew.
    """
    tail = parse_records(data[len(early.data) :], first + len(early.data) // RECORD_BYTES)
    same = data.startswith(early.data) and not (early.doubts or tail.torn or tail.damaged)
    run = settled(early.run, tail.records) if same and not dropped else None
    if run is not None and not drained:
        return Evidence(joined(early.records, tail.records), early.memory, apart=run)
    records, doubts = _weighed(_all(drained, parse_records(data, first)), dropped)
    if run is not None:
        return Evidence(records, early.memory, apart=run)
    if not data.startswith(early.data):
        doubts += ("the ledger was rewritten after the run",)
    return Evidence(records, early.memory, doubts)


def collect(
    guest: Guest, before: Header, command: str = "", drained: Drain | None = None
) -> tuple[Evidence, bool]:
    """All evidence of the run since `before`, and whether the guest is fit for another.

    The run is settled by this. `command`: the words it was asked for with.

    Raises EvidenceError when the window holds no ledger, GuestLost when QEMU is gone.
    """
    early = look(guest, before, drained)
    first = drained.next if drained else before.count
    told: bytes | None = None
    lost: tuple[str, ...] = ()
    loss, agrees = None, True
    try:
        guest.settle()
        agrees = drained.agrees() if drained else True
        told = guest.tell(first)
    except CommandFailed as error:
        lost = (str(error),)
    except GuestLost as error:
        lost, loss = (lost_words(error),), error.loss
    header, data = guest.window(first, drained=first if drained else None)
    evidence = whole(early, data, first, header.dropped - before.dropped, drained)
    account = Account.MISSING
    if told is not None:
        account = Account.AGREE if agrees and told == data else Account.DISAGREE
    evidence = replace(
        evidence,
        doubts=(*evidence.doubts, *lost),
        account=account,
        loss=loss,
        asked=asked_of(guest, command),
        apart=evidence.run,
    )
    if lost or not cpu_state.asks_for_unload(evidence.run):
        return evidence, not lost
    return _unloaded(guest, before, data, evidence), False


def _unloaded(guest: Guest, before: Header, data: bytes, evidence: Evidence) -> Evidence:
    """The same with the ledger as the module's unload left it."""
    try:
        guest.unload_modules()
    except CommandFailed as error:
        return replace(evidence, doubts=(*evidence.doubts, str(error)))
    except GuestLost as error:
        return replace(evidence, doubts=(*evidence.doubts, lost_words(error)), loss=error.loss)
    header, whole = guest.window(0)
    parsed = parse_records(whole, 0)
    doubts = evidence.doubts
    rewritten = not whole[before.count * RECORD_BYTES :].startswith(data)
    if rewritten or header.dropped or parsed.torn or parsed.damaged:
        doubts += ("the ledger did not survive the unload",)
    return replace(evidence, doubts=doubts, unloaded=parsed.records)


def salvage(
    guest: Guest, before: Header, error: GuestLost, command: str, drained: Drain | None = None
) -> Evidence:
    """What can still be read of a run whose guest was lost in it."""
    reason = lost_words(error)
    try:
        early = look(guest, before, drained)
    except (GuestLost, EvidenceError) as second:
        doubts = (reason, f"its ledger cannot be read: {second}")
        return Evidence(NOTHING, doubts=doubts, loss=error.loss)
    return Evidence(
        early.records,
        early.memory,
        (reason, *early.doubts),
        loss=error.loss,
        asked=asked_of(guest, command),
        apart=early.run,
    )


def lost_words(error: GuestLost) -> str:
    """How a guest was lost, with the last lines of its console."""
    console = f"; the console's last lines:\n{quoted(error.console)}" if error.console else ""
    return f"the guest was lost ({error.loss}): {error}{console}"
