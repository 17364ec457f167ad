"""Texts that are longer than a record."""

import pytest

from freeonce.evidence.ledger import Type
from freeonce.evidence.said import whole
from tests.unit.history import History, run


def texts(history: History) -> list[str]:
    records = history.records()
    return [one.text for one in whole(records[records["type"] == Type.STEP])]


def said(history: History, text: str) -> History:
    """As the guest writes it."""
    for piece, at in enumerate(range(0, len(text), 24)):
        history.text(Type.STEP, text[at : at + 24], piece=piece)
    return history


@pytest.mark.parametrize("length", [1, 24, 25, 48, 100, 240])
def test_a_text_comes_whole(length: int) -> None:
    text = "".join(chr(ord("a") + at % 26) for at in range(length))
    assert texts(said(said(run(), text), "next")) == [text, "next"]


def test_a_character_may_stand_on_two_records() -> None:
    history = run()
    data = ("x" * 23 + "é!").encode()
    for piece, part in enumerate((data[:24], data[24:])):
        words = [
            int.from_bytes(part.ljust(24, b"\0")[at : at + 8], "little") for at in range(0, 24, 8)
        ]
        fields = dict(zip(("pointer", "physical", "size"), words, strict=True))
        history.add(Type.STEP, detail=piece, **fields)
    assert texts(history) == ["x" * 23 + "é!"]


def test_pieces_of_two_cpus_do_not_mix() -> None:
    history = run().text(Type.STEP, "a" * 24).text(Type.STEP, "b" * 24)
    history.rows[-1]["cpu"] = 1
    history.text(Type.STEP, "c", piece=1)
    assert texts(history) == ["a" * 24 + "c", "b" * 24]


@pytest.mark.parametrize("piece", [1, 2, 0xFFFF_FFFF])
def test_a_piece_whose_begin_is_missing_stands_alone(piece: int) -> None:
    assert texts(run().text(Type.STEP, "alone", piece=piece)) == ["alone"]


def test_a_text_has_an_end() -> None:
    history = run()
    for piece in range(11):
        history.text(Type.STEP, "x" * 24, piece=piece)
    assert [len(one) for one in texts(history)] == [240, 24]


def test_a_long_name_is_the_findings() -> None:
    name = "state of the second nested vcpu"
    history = run().allocate(1, 0xFFFF_8880_0000_1000)
    history.text(Type.LABEL, name[:24], serial=1).text(Type.LABEL, name[24:], serial=1, piece=1)
    (finding,) = history.done().findings
    assert finding.what == name
