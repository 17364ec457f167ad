"""What page_walk.c remembers of page tables changes when they do: its header, compiled here."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "guest/instrument/cpu/digest.h"
ENTRIES = 512

SOURCE = """
#include <stdio.h>
#include "HEADER"
#define MOST 8
int main(void)
{
	static __u64 tables[MOST][DIGEST_ENTRIES];
	struct digest was = { 0 }, is = { 0 };
	__u16 filled[MOST];
	int i, same = 1, count = fread(tables, sizeof(*tables), MOST, stdin) / 2;

	for (i = 0; i < count; i++) {
		filled[i] = digest_filled(tables[i]);
		if (!digest_table(&was, tables[i], filled[i]))
			return 2;
	}
	for (i = 0; i < count; i++)
		same &= digest_table(&is, tables[count + i], filled[i]);
	printf("%d", same && digest_same(&was, &is));
	return 0;
}
"""

Entries = dict[int, int]
Differ = Callable[[Entries, Entries], bool]


@pytest.fixture(scope="module")
def differ(tmp_path_factory: pytest.TempPathFactory) -> Differ:
    """Whether tables with the first entries, looked at again, show that they are the second now."""
    folder = tmp_path_factory.mktemp("digest")
    source, program = folder / "digest.c", folder / "digest"
    source.write_text(SOURCE.replace("HEADER", str(HEADER)))
    subprocess.run(["gcc", "-O2", "-o", program, source], check=True)

    def compute(was: Entries, now: Entries) -> bool:
        tables = max((*was, *now), default=0) // ENTRIES + 1
        places = range(tables * ENTRIES)
        values = (one.get(place, 0) for one in (was, now) for place in places)
        data = b"".join(value.to_bytes(8, "little") for value in values)
        done = subprocess.run([program], input=data, check=True, capture_output=True)
        return done.stdout == b"0"

    return compute


def entries(*pages: int, first: int = 0, apart: int = 1) -> dict[int, int]:
    """Present entries that lead to these pages."""
    return {first + apart * index: page << 12 | 7 for index, page in enumerate(pages)}


@pytest.mark.parametrize("apart", [1, 2, 16, ENTRIES])
@pytest.mark.parametrize("first", [0, 1, 14])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((10, 14, 20), (11, 12, 21)),
        ((50, 52, 50), (51, 50, 51)),
        ((100, 101, 102, 103), (99, 102, 103, 102)),
        ((7, 8), (8, 7)),
        ((0, 5), (5, 0)),
    ],
)
def test_entries_that_change_together_show(
    differ: Differ, before: tuple[int, ...], after: tuple[int, ...], first: int, apart: int
) -> None:
    was, now = (entries(*pages, first=first, apart=apart) for pages in (before, after))
    assert differ(was, now)


def test_groups_that_change_against_each_other_show(differ: Differ) -> None:
    was = entries(100, 105) | entries(200, 205, first=300)
    assert differ(was, entries(101, 104) | entries(199, 206, first=300))


@pytest.mark.parametrize("bit", range(64))
def test_the_same_bit_of_two_entries_shows(differ: Differ, bit: int) -> None:
    for other in (1, 2, 4, ENTRIES):
        both = {0: 1 << bit, other: 1 << bit}
        assert differ({}, both)
        assert differ(both, {})


@pytest.mark.parametrize("index", [0, 1, 31, 32, 255, 256, 510, 511])
def test_one_bit_of_one_entry_shows(differ: Differ, index: int) -> None:
    """In an empty table, beside what stands there, and far from it."""
    for others in ({}, {index ^ 1: 7}, {index ^ 256: 7}):
        told = [differ(others, others | {index: 1 << bit}) for bit in range(64)]
        assert told == [True] * 64


@pytest.mark.parametrize("was", [{}, {3: 7}, {0: 7, 511: 7, ENTRIES + 40: 7}])
def test_what_stands_still_shows_nothing(differ: Differ, was: Entries) -> None:
    assert not differ(was, was)


def test_an_entry_that_moves_shows(differ: Differ) -> None:
    """Within what was filled, to where nothing was, and to another table."""
    for to in (6, 37, 400, ENTRIES + 5):
        assert differ({5: 7}, {to: 7})
        assert differ({5: 7, 38: 7, ENTRIES: 7}, {to: 7, 38: 7, ENTRIES: 7})
