"""The window's bytes: whole, cut short, torn, written over, hostile."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeonce.errors import EvidenceError
from freeonce.evidence.ledger import (
    HEADER_BYTES,
    RECORD_BYTES,
    Type,
    parse_header,
    parse_records,
    signed,
    text_of,
)
from tests.unit.history import History, run

WINDOW = 1 << 20
CAPACITY = (WINDOW - HEADER_BYTES) // RECORD_BYTES


def header(
    magic: bytes = b"FREEONCE",
    version: int = 4,
    record_size: int = 64,
    capacity: int = CAPACITY,
    appended: int = 3,
) -> bytes:
    raw = struct.pack("<8sIIQQ64s", magic, version, record_size, capacity, appended, b"6.1")
    return raw.ljust(HEADER_BYTES, b"\0")


def three() -> bytes:
    return History().text(Type.BEGIN, "test/scenario").add(Type.STEP).add(Type.END).data()


def test_header_of_a_live_window() -> None:
    parsed = parse_header(header(), WINDOW)
    assert (parsed.capacity, parsed.appended, parsed.release) == (CAPACITY, 3, "6.1")
    assert (parsed.count, parsed.dropped) == (3, 0)


def test_a_full_ledger_says_how_much_was_dropped() -> None:
    parsed = parse_header(header(appended=CAPACITY + 7), WINDOW)
    assert (parsed.count, parsed.dropped) == (CAPACITY, 7)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes"),
        (header()[:100], "100 bytes"),
        (bytes(HEADER_BYTES), "is the module loaded"),
        (header(magic=b"FREETWICE"[:8]), "is the module loaded"),
        (header(version=1), "version 1"),
        (header(record_size=128), "128 bytes"),
        (header(capacity=CAPACITY + 1), f"{CAPACITY + 1} records"),
        (header(capacity=(1 << 64) - 1), "records"),
    ],
    ids=range(8),
)
def test_a_header_that_is_none_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(EvidenceError, match=message):
        parse_header(data, WINDOW)


@given(st.binary(max_size=2 * HEADER_BYTES))
def test_no_header_crashes_the_parser(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        parse_header(data, WINDOW)


def test_whole_records_are_taken_as_written() -> None:
    parsed = parse_records(three(), 0)
    assert (parsed.torn, parsed.damaged) == (0, 0)
    assert list(parsed.records["type"]) == [Type.BEGIN, Type.STEP, Type.END]
    assert text_of(parsed.records[0]) == "test/scenario"


def test_records_may_begin_anywhere() -> None:
    data = three()[RECORD_BYTES:]
    assert len(parse_records(data, 1).records) == 2
    assert parse_records(data, 0).damaged == 2


def test_an_unfinished_record_is_torn() -> None:
    data = bytearray(three())
    data[RECORD_BYTES : RECORD_BYTES + 8] = bytes(8)
    parsed = parse_records(bytes(data), 0)
    assert (len(parsed.records), parsed.torn, parsed.damaged) == (2, 1, 0)


def test_bytes_that_stop_inside_a_record_are_torn() -> None:
    parsed = parse_records(three()[:-1], 0)
    assert (len(parsed.records), parsed.torn, parsed.damaged) == (2, 1, 0)


@given(st.integers(0, RECORD_BYTES - 1), st.integers(0, 7))
def test_any_flipped_bit_is_noticed(byte: int, bit: int) -> None:
    data = bytearray(three())
    data[RECORD_BYTES + byte] ^= 1 << bit
    parsed = parse_records(bytes(data), 0)
    assert len(parsed.records) == 2
    assert parsed.torn + parsed.damaged == 1


@pytest.mark.parametrize("field", ["type", "witness", "kind", "zero"])
def test_values_without_a_meaning_are_damage(field: str) -> None:
    history = run()
    history.rows[0][field] = 99
    assert parse_records(history.data(), 0).damaged == 1


@given(st.binary(max_size=5 * RECORD_BYTES), st.integers(0, CAPACITY))
def test_no_bytes_crash_the_parser(data: bytes, first: int) -> None:
    parsed = parse_records(data, first)
    begun = -(-len(data) // RECORD_BYTES)
    assert len(parsed.records) + parsed.damaged + parsed.torn == begun


def test_ten_thousand_records() -> None:
    history = History()
    for serial in range(1, 10_001):
        history.allocate(serial, serial << 12, seen=False)
    parsed = parse_records(history.data(), 0)
    assert len(parsed.records) == 10_000
    assert np.array_equal(parsed.records["sequence"], np.arange(1, 10_001))


def test_text_that_is_no_utf8_is_readable() -> None:
    history = History().add(Type.STEP, pointer=0xFFFF)
    assert text_of(parse_records(history.data(), 0).records[0]) == "\\xff\\xff"


@pytest.mark.parametrize(
    ("detail", "number"), [(0, 0), (0xFFFFFFFF, -1), (0xFFFFFFF4, -12), (5, 5)]
)
def test_error_numbers_are_signed(detail: int, number: int) -> None:
    assert signed(detail) == number
