"""Memory as the host reads it: in few reads, and nothing that was not read."""

import pytest

from freeonce.evidence.snapshot import Extent, Snapshot, merge

GAP = 64 << 10
"""Bytes between two extents that are read all the same."""


@pytest.mark.parametrize(
    ("extents", "reads"),
    [
        ([], []),
        ([Extent(5, 3)], [Extent(5, 3)]),
        ([Extent(200, 8), Extent(0, 16), Extent(8, 100)], [Extent(0, 208)]),
        ([Extent(0, 100), Extent(10, 20)], [Extent(0, 100)]),
        ([Extent(0, 8), Extent(8 + GAP, 8)], [Extent(0, 16 + GAP)]),
        ([Extent(0, 8), Extent(9 + GAP, 8)], [Extent(0, 8), Extent(9 + GAP, 8)]),
        (
            [Extent(30 * GAP, 1), Extent(10 * GAP, 1), Extent(30 * GAP + 1, 1)],
            [Extent(10 * GAP, 1), Extent(30 * GAP, 2)],
        ),
    ],
)
def test_extents_close_together_are_read_at_once(
    extents: list[Extent], reads: list[Extent]
) -> None:
    assert merge(extents) == reads


SNAPSHOT = Snapshot([(0x2000, b"efgh"), (0x1000, b"abcd"), (0x2004, b"ijkl")])


@pytest.mark.parametrize(
    ("gpa", "size", "read"),
    [
        (0x1000, 4, b"abcd"),
        (0x1001, 2, b"bc"),
        (0x2000, 4, b"efgh"),
        (0x2007, 1, b"l"),
        (0x0FFF, 1, None),
        (0x0FFF, 2, None),
        (0x1003, 2, None),
        (0x1004, 1, None),
        (0x1FFF, 2, None),
        (0x2003, 2, None),
        (0x2008, 1, None),
    ],
)
def test_a_snapshot_gives_only_what_was_read_at_once(
    gpa: int, size: int, read: bytes | None
) -> None:
    assert SNAPSHOT.read(gpa, size) == read


def test_a_snapshot_says_what_was_read() -> None:
    assert SNAPSHOT.extents == (Extent(0x1000, 4), Extent(0x2000, 4), Extent(0x2004, 4))
    assert Snapshot().extents == ()
    assert Snapshot().read(0, 1) is None
