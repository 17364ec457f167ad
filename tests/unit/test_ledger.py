"""The window's bytes: whole, cut short, torn, written over, hostile."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeonce.errors import EvidenceError
from freeonce.evidence.ledger import (
    CHECK_PRIME,
    HEADER_BYTES,
    RECORD,
    RECORD_BYTES,
    Kind,
    Type,
    check_words,
    digest,
    finished,
    parse_header,
    parse_records,
    signed,
    text_of,
)
from tests.unit.history import History, run

WINDOW = 1 << 20
CAPACITY = (WINDOW - HEADER_BYTES) // RECORD_BYTES
SEQUENCE, CHECK = 0, 4
"""Offsets in a record."""


def header(
    magic: bytes = b"FREEONCE",
    version: int = 4,
    record_size: int = 64,
    capacity: int = CAPACITY,
    appended: int = 3,
    drained: int = 0,
) -> bytes:
    first = struct.pack("<8sIIQQ", magic, version, record_size, capacity, appended)
    return (first + struct.pack("<64sQQ", b"6.1", 0, drained)).ljust(HEADER_BYTES, b"\0")


def three() -> bytes:
    return History().text(Type.BEGIN, "test/scenario").add(Type.STEP).add(Type.END).data()


def test_header_of_a_live_window() -> None:
    parsed = parse_header(header(), WINDOW)
    assert (parsed.capacity, parsed.appended, parsed.release) == (CAPACITY, 3, "6.1")
    assert (parsed.count, parsed.dropped) == (3, 0)


def test_a_full_ledger_says_how_much_was_dropped() -> None:
    parsed = parse_header(header(appended=CAPACITY + 7), WINDOW)
    assert (parsed.count, parsed.dropped) == (CAPACITY, 7)


def test_where_drained_records_stood_there_is_room() -> None:
    parsed = parse_header(header(appended=CAPACITY + 7, drained=5), WINDOW)
    assert (parsed.count, parsed.dropped) == (CAPACITY + 5, 2)
    parsed = parse_header(header(appended=7, drained=7), WINDOW)
    assert (parsed.count, parsed.dropped) == (7, 0)


def test_the_end_of_a_window_may_be_no_record() -> None:
    assert parse_header(header(), WINDOW + RECORD_BYTES - 1).capacity == CAPACITY


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
        (header(appended=3, drained=4), "more drained records"),
    ],
    ids=range(9),
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


def hashed(raw: bytes, *, check: bool) -> int:
    """The word `h` of guest/LEDGER.md of one record; `check` as it stands, or taken as 0."""
    first, *others = struct.unpack("<8Q", raw)
    word = CHECK_PRIME
    for one in (first if check else first & 0xFFFF_FFFF, *others):
        word = (word ^ one) * CHECK_PRIME % (1 << 64)
    return int(word)


@given(st.binary(min_size=RECORD_BYTES, max_size=RECORD_BYTES))
def test_the_check_is_the_upper_half_of_the_word(raw: bytes) -> None:
    assert check_words(np.frombuffer(raw, RECORD)).tolist() == [hashed(raw, check=False) >> 32]


@given(st.lists(st.binary(min_size=RECORD_BYTES, max_size=RECORD_BYTES), max_size=4))
def test_the_digest_is_the_sum_of_the_words(records: list[bytes]) -> None:
    """guest/LEDGER.md, Draining: with `check` as it stands."""
    wanted = sum(hashed(one, check=True) for one in records)
    assert digest(b"".join(records)) == wanted % (1 << 64)


def spoilt(record: int, at: int) -> bytes:
    """Three records, of which in one the bytes from one offset on, four of them, are 0."""
    data = bytearray(three())
    start = record * RECORD_BYTES + at
    data[start : start + 4] = bytes(4)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "first", "count"),
    [
        (b"", 0, 0),
        (three(), 0, 3),
        (three()[:-1], 0, 2),
        (three()[RECORD_BYTES:], 1, 2),
        (three(), 1, 0),
        (three()[RECORD_BYTES:], 0, 0),
        (spoilt(0, SEQUENCE), 0, 0),
        (spoilt(1, SEQUENCE), 0, 1),
        (spoilt(2, CHECK), 0, 2),
    ],
    ids=range(9),
)
def test_records_are_taken_up_to_one_that_is_not_whole(data: bytes, first: int, count: int) -> None:
    assert finished(data, first) == count


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
@pytest.mark.parametrize("value", [99, 0xFF])
def test_values_without_a_meaning_are_damage(field: str, value: int) -> None:
    history = run()
    history.rows[0][field] = value
    assert parse_records(history.data(), 0).damaged == 1


@pytest.mark.parametrize(("kind", "damaged"), [(max(Kind), 0), (max(Kind) + 1, 1)])
def test_a_family_is_one_of_those_that_there_are(kind: int, damaged: int) -> None:
    history = History().add(Type.ALLOCATE, kind=kind)
    assert parse_records(history.data(), 0).damaged == damaged


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
    ("detail", "number"),
    [
        *((0, 0), (5, 5), (0x7FFFFFFF, 0x7FFFFFFF)),
        *((0xFFFFFFFF, -1), (0xFFFFFFF4, -12), (0x80000000, -0x80000000)),
    ],
)
def test_error_numbers_are_signed(detail: int, number: int) -> None:
    assert signed(detail) == number
