"""The guest's own account as it comes over SSH: whole, or not taken for one."""

import pytest

from freeonce.errors import CommandFailed
from freeonce.evidence.account import parse_account


@pytest.mark.parametrize("records", [b"", b"\n", b"0 4\nabcd", bytes(range(256)) * 64])
def test_what_is_whole_is_told_as_it_is(records: bytes) -> None:
    assert parse_account(b"0 %d\n" % len(records) + records) == records


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "begins with b''"),
        (b"sixteen bytes it is, and more", "begins with b'sixteen bytes it'$"),
        (b"0 4", "begins with"),
        (b"-1 4\nabcd", "begins with"),
        (b"4\nabcd", "begins with"),
        (b"\x1b[31m0 4\nabcd", "begins with"),
        ("0 \N{ARABIC-INDIC DIGIT FOUR}\nabcd".encode(), "begins with"),
        (b"0 99999999999\nabcd", "begins with"),
        (b"2 0\n", "No such file"),
        (b"74 0\n", "Bad message"),
        (b"0 5\nabcd", "told 4 of 5 bytes"),
        (b"0 3\nabcd", "told 4 of 3 bytes"),
    ],
)
def test_what_is_not_whole_is_no_account(answer: bytes, said: str) -> None:
    with pytest.raises(CommandFailed, match=said) as failed:
        parse_account(answer)
    assert "\x1b" not in str(failed.value)
