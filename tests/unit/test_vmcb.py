"""Where a VMCB's fields stand: AMD manual volume 2, appendix B."""

from itertools import pairwise

import pytest

from freeonce.evidence.exits import exit_name
from freeonce.evidence.vmcb import CONTROL_AREA, FIELDS, STATE_SAVE_AREA

OFFSETS = {field.name: (field.offset, field.size) for field in FIELDS}


@pytest.mark.parametrize(
    ("number", "segment"),
    list(enumerate(("es", "cs", "ss", "ds", "fs", "gs", "gdtr", "ldtr", "idtr", "tr"))),
)
def test_segments_follow_each_other_by_16_bytes(number: int, segment: str) -> None:
    found = {name: place for name, place in OFFSETS.items() if name.startswith(f"{segment}.")}
    start = 0x400 + 16 * number
    # Selector, attributes, limit, base.
    assert sorted(found.values()) == [(start, 2), (start + 2, 2), (start + 4, 4), (start + 8, 8)]


def test_no_two_fields_share_a_byte() -> None:
    for one, other in pairwise(sorted(FIELDS, key=lambda field: field.offset)):
        assert one.offset + one.size <= other.offset, (one.name, other.name)


def test_the_state_begins_behind_the_control_area() -> None:
    assert max(field.offset + field.size for field in CONTROL_AREA) <= 0x400
    assert min(field.offset for field in STATE_SAVE_AREA) == 0x400


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0x00, "VMEXIT_CR0_READ"),
        (0x04, "VMEXIT_CR4_READ"),
        (0x13, "VMEXIT_CR3_WRITE"),
        (0x27, "VMEXIT_DR7_READ"),
        (0x72, "VMEXIT_CPUID"),
    ],
)
def test_an_exit_has_the_number_of_its_register(code: int, name: str) -> None:
    """Appendix C."""
    assert exit_name(code) == name
