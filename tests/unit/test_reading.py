"""What the host reads of a window whose records go around in it."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from freeonce.evidence.ledger import HEADER_BYTES, RECORD_BYTES
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
