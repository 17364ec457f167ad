"""The table of families is that of docs/rules.md, for whatever number a record has."""

from pathlib import Path

import numpy as np

from freeonce.audit.families import FAMILIES, no_memory, of_subjects, right_call, takes_null
from freeonce.evidence.ledger import Kind

RULES = Path(__file__).parents[2] / "docs" / "rules.md"
NUMBERS = np.arange(256, dtype=np.uint8)
"""All that a record has room for."""


def kinds(cell: str) -> set[Kind]:
    return {kind for kind in Kind if f"`{kind.name.lower()}`" in cell}


def table() -> dict[Kind, tuple[set[Kind], bool]]:
    """Of each family by docs/rules.md: whose calls are right for it, and whether null is."""
    rows = [line.strip("| ").split(" | ") for line in RULES.read_text().splitlines()]
    return {
        kind: ({kind} if by == "the same" else kinds(by), null == "yes")
        for family, _, by, null in (row for row in rows if len(row) == 4)
        for kind in kinds(family)
    }


def test_every_family_is_released_by_the_calls_that_are_right_for_it() -> None:
    allowed = {(int(kind), int(one)) for kind, (by, _) in table().items() for one in by}
    made, gone = np.meshgrid(NUMBERS, NUMBERS, indexing="ij")
    right = right_call(made.ravel(), gone.ravel()).reshape(made.shape)
    assert {(int(one), int(other)) for one, other in np.argwhere(right)} == allowed
    assert set(FAMILIES) == set(table())


def test_null_is_refused_by_the_families_that_say_so() -> None:
    refused = {int(kind) for kind, (_, null) in table().items() if not null}
    assert set(NUMBERS[~takes_null(NUMBERS)].tolist()) == refused


def test_families_are_told_apart_by_their_numbers() -> None:
    """guest/LEDGER.md: from 3 on they are not our own, from 10 on no memory."""
    assert of_subjects(NUMBERS).tolist() == (NUMBERS >= 3).tolist()
    assert no_memory(NUMBERS).tolist() == (NUMBERS >= 10).tolist()


def test_what_lies_in_the_kernels_map_of_all_memory() -> None:
    """Whatever is made of slabs and pages, where they are no pages of vmalloc's."""
    mapped = {kind for kind, family in FAMILIES.items() if family.mapped}
    assert mapped == {Kind.POOL, Kind.CONTIGUOUS, Kind.SLAB, Kind.OBJECT, Kind.PAGES}
