"""A ledger longer than its window: the host takes records while the guest runs.

They go to a file without a name: whoever has its records has it, and it is gone with the last of
them. What the guest says of its ledger is bounded by the window, which the host knows.
"""

import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import IO

import numpy as np

from freeonce.deadline import Deadline
from freeonce.errors import CommandFailed, EvidenceError
from freeonce.evidence.ledger import (
    RECORD,
    RECORD_BYTES,
    Header,
    Parsed,
    Records,
    digest,
    finished,
    parse_records,
)
from freeonce.guest.guest import CONTROL, Guest

PIECE = 1 << 16
"""Records that are read at once: 4 MiB."""
SHARE = 8
"""Nothing is taken before this part of the window is full: most lives never fill it."""
MOST_RECORDS = 1 << 26
"""Records of one life, 4 GiB of them. Beyond that the host stops, and nobody waits for room."""
PLACE = "/var/tmp"
"""On disk by the Filesystem Hierarchy Standard, where /tmp may be memory."""
STALLED_SECONDS = 10.0
"""Within which a record is finished, however its writer is interrupted: less than any limit of a
stage, so that nobody who waits for room is accused."""


class Drain:
    """The records of a run from `first` on, of which the host has those below `next`.

    `doubt`: why it stopped, empty as long as it goes on; from then on nothing is read any more, and
    nobody in the guest waits for it. Nothing of this raises EvidenceError or OSError.
    """

    def __init__(self, guest: Guest, first: int) -> None:
        self.first = self.next = first
        self.doubt = ""
        self._guest = guest
        self._open = ExitStack()
        self._file: IO[bytes] | None = None
        self._stalled: Deadline | None = None
        self._kept = 0
        self._damaged = 0
        self._digest = 0

    def take(self) -> None:
        """Take what is finished, and let the guest write there. Raises GuestLost."""
        if self.doubt:
            return
        try:
            self._advance()
        except (EvidenceError, CommandFailed) as error:
            self._stop(f"the ledger could not be drained: {error}")
        except OSError as error:
            self._stop(_no_room(error))

    def _stop(self, doubt: str) -> None:
        self.doubt = doubt
        with suppress(CommandFailed):
            self._guest.ask("drained stop")

    def _advance(self) -> None:
        before = self.next
        is_due = self._take(self._guest.header())
        if self.next != before:
            self._guest.ask(f"drained {self.next}")
        if self.next != before or not is_due:
            self._stalled = None
        elif self._stalled is None:
            self._stalled = Deadline(STALLED_SECONDS, "finishing a record")
        elif self._stalled.is_over:
            raise EvidenceError(f"record {self.next} was never finished")

    def _take(self, header: Header) -> bool:
        """Take what is finished, once enough waits for it. Returns whether enough did."""
        waiting = header.appended - self.next
        if waiting < 0:
            raise EvidenceError("it has fewer records than it had")
        if waiting < header.capacity // SHARE:
            return False
        end = self.next + min(waiting, header.capacity)
        # Somebody who may not wait is faster than we are: all of them stand still meanwhile.
        ahead = waiting > header.capacity // 2
        with self._guest.monitor.paused() if ahead else nullcontext():
            while self.next < end and self._piece(header, end):
                pass
        return True

    def _piece(self, header: Header, end: int) -> int:
        """Take a piece. How many records it had; what is not finished now may be the next time."""
        data = self._guest.records(self.next, min(PIECE, end - self.next), header.capacity)
        count = finished(data, self.next)
        data = data[: count * RECORD_BYTES]
        parsed = parse_records(data, self.next)
        if self._kept + count > MOST_RECORDS:
            raise EvidenceError(f"a life has more than the {MOST_RECORDS:,} records that are kept")
        self._write(self._kept, parsed.records)
        self._kept += len(parsed.records)
        self._damaged += parsed.damaged
        self._digest = (self._digest + digest(data)) % (1 << 64)
        self.next += count
        return count

    def _write(self, at: int, records: Records) -> None:
        """Write all of them, unbuffered: nobody would hear of an OSError at the close."""
        if self._file is None:
            # Where there is none, Python knows another.
            place = PLACE if os.access(PLACE, os.W_OK) else None
            file = tempfile.TemporaryFile(dir=place, buffering=0)  # noqa: SIM115
            self._file = self._open.enter_context(file)
        data, offset = np.ascontiguousarray(records).view(np.uint8).data, at * RECORD_BYTES
        while data:
            written = os.pwrite(self._file.fileno(), data, offset)
            data, offset = data[written:], offset + written

    def with_rest(self, *rest: Parsed) -> Parsed:
        """What was taken, with what stands behind it.

        Of records only the newest such array is to be used.
        """
        damaged = self._damaged + sum(one.damaged for one in rest)
        torn = sum(one.torn for one in rest)
        return Parsed(self._joined([one.records for one in rest]), torn, damaged)

    def _joined(self, rest: list[Records]) -> Records:
        if not self._kept:
            return rest[0] if len(rest) == 1 else np.concatenate(rest)
        try:
            end = self._kept
            for one in rest:
                self._write(end, one)
                end += len(one)
            return self._mapped(end)
        except OSError:
            # The rest is not more than a window: it stays in memory.
            pass
        try:
            return np.concatenate((self._mapped(self._kept), *rest))
        except (OSError, MemoryError) as error:
            self.doubt = self.doubt or _no_room(error)
            return np.concatenate(rest)

    def _mapped(self, count: int) -> Records:
        """It has a descriptor of its own, and ends with the last array on it."""
        assert self._file is not None
        there = mmap.mmap(self._file.fileno(), count * RECORD_BYTES, access=mmap.ACCESS_READ)
        return np.frombuffer(there, RECORD)

    def close(self) -> None:
        """Give up the file; who has its records keeps them."""
        with suppress(OSError):
            self._open.close()

    def agrees(self) -> bool:
        """Whether the guest tells the same of what was taken. Raises GuestLost, CommandFailed."""
        if self.next == self.first:
            return True
        said = self._guest.command(f"cat {CONTROL}/drained")
        return said == b"%d %016x\n" % (self.next, self._digest)


def _no_room(error: Exception) -> str:
    why = error.strerror if isinstance(error, OSError) else "it is more than there is memory"
    return f"no room on disk for the ledger, which is kept in {PLACE}: {why}"


@contextmanager
def drain(guest: Guest, first: int) -> Iterator[Drain]:
    """Ready for a run whose first record has the index `first`. Raises GuestLost, CommandFailed."""
    guest.ask(f"drained {first}")
    drained = Drain(guest, first)
    try:
        yield drained
    finally:
        drained.close()
