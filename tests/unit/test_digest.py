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
int main(void)
{
	__u64 table[DIGEST_ENTRIES];
	struct digest digest = { 0 };

	while (fread(table, sizeof(table), 1, stdin))
		digest_table(&digest, table);
	printf("%llu %llu", digest.even, digest.odd);
	return 0;
}
"""

Digest = Callable[[dict[int, int]], str]


@pytest.fixture(scope="module")
def digest(tmp_path_factory: pytest.TempPathFactory) -> Digest:
    """The digest of as many tables as entries with these values need."""
    folder = tmp_path_factory.mktemp("digest")
    source, program = folder / "digest.c", folder / "digest"
    source.write_text(SOURCE.replace("HEADER", str(HEADER)))
    subprocess.run(["gcc", "-O2", "-o", program, source], check=True)

    def compute(entries: dict[int, int]) -> str:
        tables = max(entries, default=0) // ENTRIES + 1
        values = (entries.get(index, 0) for index in range(tables * ENTRIES))
        data = b"".join(value.to_bytes(8, "little") for value in values)
        done = subprocess.run([program], input=data, check=True, capture_output=True)
        return done.stdout.decode()

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
    digest: Digest, before: tuple[int, ...], after: tuple[int, ...], first: int, apart: int
) -> None:
    was, now = (digest(entries(*pages, first=first, apart=apart)) for pages in (before, after))
    assert was != now


def test_groups_that_change_against_each_other_show(digest: Digest) -> None:
    was = digest(entries(100, 105) | entries(200, 205, first=300))
    assert was != digest(entries(101, 104) | entries(199, 206, first=300))


@pytest.mark.parametrize("bit", range(64))
def test_the_same_bit_of_two_entries_shows(digest: Digest, bit: int) -> None:
    for other in (1, 2, 4, ENTRIES):
        assert digest({}) != digest({0: 1 << bit, other: 1 << bit})


def test_one_bit_of_one_entry_shows(digest: Digest) -> None:
    told = {digest({index: 1 << bit}) for index in (0, 1, 510, 511) for bit in range(64)}
    assert len(told) == 4 * 64
