"""A ledger longer than its window: the host takes records while the guest runs.

They go to a file without a name: whoever has its records has it, and it is gone with the last of
them. What the guest says of its ledger is bounded by the window, which the host knows.
"""

import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import IO

import numpy as np

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
"""Of one life, 4 GiB. Who writes more waits for room in vain."""
PLACE = "/var/tmp"
"""On disk by the Filesystem Hierarchy Standard, where /tmp may be memory."""


class Drain:
    """The records of a run from `first` on, of which the host has those below `next`.

    `doubt`: why it stopped, empty as long as it goes on. Nothing of this raises EvidenceError.
    """

    def __init__(self, guest: Guest, first: int, file: IO[bytes]) -> None:
        self.first = self.next = first
        self.doubt = ""
        self._guest = guest
        self._file = file
        self._kept = 0
        self._damaged = 0
        self._digest = 0

    def take(self) -> None:
        """Take what is finished, and let the guest write there. Raises GuestLost."""
        if self.doubt:
            return
        before = self.next
        try:
            header = self._guest.header()
            self._take(header)
            if self.next != before:
                self._guest.ask(f"drained {self.next}")
        except (EvidenceError, CommandFailed) as error:
            self.doubt = f"the ledger could not be drained: {error}"
        except OSError as error:
            self.doubt = f"no room for the ledger in {PLACE}: {error.strerror}"

    def _take(self, header: Header) -> None:
        waiting = header.appended - self.next
        if waiting < 0:
            raise EvidenceError("it has fewer records than it had")
        if waiting < header.capacity // SHARE:
            return
        end = self.next + min(waiting, header.capacity)
        # Somebody who may not wait is faster than we are: all of them stand still meanwhile.
        ahead = waiting > header.capacity // 2
        with self._guest.monitor.paused() if ahead else nullcontext():
            while self.next < end and self._piece(header, end):
                pass

    def _piece(self, header: Header, end: int) -> int:
        """Take a piece. How many records it had; what is not finished now may be the next time."""
        data = self._guest.records(self.next, min(PIECE, end - self.next), header.capacity)
        count = finished(data, self.next)
        data = data[: count * RECORD_BYTES]
        parsed = parse_records(data, self.next)
        if self._kept + count > MOST_RECORDS:
            raise EvidenceError(f"a life is kept up to {MOST_RECORDS:,} records")
        self._write(self._kept, parsed.records)
        self._kept += len(parsed.records)
        self._damaged += parsed.damaged
        self._digest = (self._digest + digest(data)) % (1 << 64)
        self.next += count
        return count

    def _write(self, at: int, records: Records) -> None:
        self._file.seek(at * RECORD_BYTES)
        self._file.write(np.ascontiguousarray(records).view(np.uint8).data)

    def with_rest(self, *rest: Parsed) -> Parsed:
        """What was taken, with what stands behind it. Raises EvidenceError when there is no room.

        Of records only the newest such array is to be used.
        """
        damaged = self._damaged + sum(one.damaged for one in rest)
        torn = sum(one.torn for one in rest)
        if not self._kept:
            records = [one.records for one in rest]
            return Parsed(records[0] if len(rest) == 1 else np.concatenate(records), torn, damaged)
        end = self._kept
        try:
            for one in rest:
                self._write(end, one.records)
                end += len(one.records)
            self._file.flush()
        except OSError as error:
            raise EvidenceError(f"no room for the ledger in {PLACE}: {error.strerror}") from error
        # It has a descriptor of its own, and ends with the last array on it.
        there = mmap.mmap(self._file.fileno(), end * RECORD_BYTES, access=mmap.ACCESS_READ)
        return Parsed(np.frombuffer(there, RECORD), torn, damaged)

    def agrees(self) -> bool:
        """Whether the guest tells the same of what was taken. Raises GuestLost, CommandFailed."""
        if self.next == self.first:
            return True
        said = self._guest.command(f"cat {CONTROL}/drained")
        return said == b"%d %016x\n" % (self.next, self._digest)


@contextmanager
def drain(guest: Guest, first: int) -> Iterator[Drain]:
    """Ready for a run whose first record has the index `first`. Raises GuestLost, CommandFailed."""
    guest.ask(f"drained {first}")
    with tempfile.TemporaryFile(dir=PLACE) as file:
        yield Drain(guest, first, file)
