"""What the host reads of a window whose records go around in it."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from freeonce.evidence.ledger import HEADER_BYTES, RECORD_BYTES, Header
from freeonce.guest.reading import Readable

CAPACITY = 8
BASE = 0x1000


class Memory:
    """Each record is full of the number of its place."""

    def read_memory(self, gpa: int, size: int) -> bytes:
        place = (gpa - BASE - HEADER_BYTES) // RECORD_BYTES
        assert 0 <= place <= place + size // RECORD_BYTES <= CAPACITY
        return b"".join(bytes([at]) * RECORD_BYTES for at in range(place, place + size // 64))


@pytest.mark.parametrize(
    ("first", "count", "places"),
    [
        (0, 3, [0, 1, 2]),
        (6, 2, [6, 7]),
        (6, 4, [6, 7, 0, 1]),
        (13, 1, [5]),
        (21, 8, [5, 6, 7, 0, 1, 2, 3, 4]),
        (3, 1 << 60, [3, 4, 5, 6, 7, 0, 1, 2]),
        (3, -1, []),
    ],
)
def test_records_are_read_where_they_stand(first: int, count: int, places: list[int]) -> None:
    config: Any = SimpleNamespace(window=SimpleNamespace(base=BASE))
    guest = Readable(config, cast(Any, Memory()))
    data = guest.records(first, count, CAPACITY)
    assert [data[at] for at in range(0, len(data), RECORD_BYTES)] == places


@pytest.mark.parametrize(("said", "appended"), [(0, 100), (90, 100), (100, 100), (0, 1 << 60)])
def test_by_its_own_count_of_what_it_drained_the_host_reads_what_stands_there(
    said: int, appended: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the header says of it may be a stray 0."""
    config: Any = SimpleNamespace(window=SimpleNamespace(base=BASE))
    monitor: Any = SimpleNamespace(read_memory=Memory().read_memory, paused=nullcontext)
    guest = Readable(config, monitor)
    monkeypatch.setattr(guest, "header", lambda: Header(CAPACITY, appended, "", 0, said))
    header, data = guest.window(95, drained=95)
    count = min(appended - 95, CAPACITY)
    assert [data[at] for at in range(0, len(data), RECORD_BYTES)] == [
        (95 + at) % CAPACITY for at in range(count)
    ]
    assert header.dropped == appended - 95 - count


@pytest.mark.parametrize(("cr4", "levels"), [(0x20, 4), (0x1020, 5), (0x2820, 4)])
def test_cr4_says_how_many_levels_the_page_tables_have(cr4: int, levels: int) -> None:
    """By LA57, bit 12 (AMD manual volume 2, 3.1.3). Here is one table, which leads to itself."""
    reads = []

    def read(gpa: int, size: int) -> bytes:
        reads.append(gpa)
        return (0x1000 | 3).to_bytes(8, "little").ljust(size, b"\0")

    config: Any = SimpleNamespace(memory=1 << 20)
    monitor: Any = SimpleNamespace(
        read_memory=read, registers=lambda: f"CR2=0 CR3={0x1000:016x} CR4={cr4:08x}\n"
    )
    assert Readable(config, monitor).translate([0x12]) == {0x12: 0x1012}
    assert reads == [0x1000] * levels
