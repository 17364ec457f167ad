"""Stacks, sections and names as the ledger tells them, in pieces and perhaps by a liar."""

import re
from pathlib import Path

import numpy as np
import pytest

from freeonce.evidence import stacks
from freeonce.evidence.ledger import RECORD, Type
from freeonce.evidence.stacks import Section, Stack, Told, only, told
from tests.unit.history import History

INSTRUMENT = Path(__file__).resolve().parents[2] / "guest/instrument"


def stack(history: History, number: int, first: int, *frames: int) -> History:
    """One record of a stack: three frames from the index `first` on."""
    history.stack(number, *frames)
    history.rows[-1]["detail"] = first
    return history


def stacks_of(history: History) -> dict[int, Stack]:
    return dict(told(history.records()).stacks)


def test_a_stack_comes_three_frames_a_record() -> None:
    history = History().add(Type.STEP)
    stack(history, 7, 0, 1, 2, 3)
    stack(history, 9, 0, 11)
    stack(history, 7, 3, 4, 5, 6)
    stack(history, 7, 6, 7, 8)
    assert stacks_of(history) == {
        7: Stack(sequence=2, frames=(1, 2, 3, 4, 5, 6, 7, 8)),
        9: Stack(sequence=3, frames=(11,)),
    }


@pytest.mark.parametrize("first", [0, 1, 3, 6])
def test_what_a_stack_has_already_is_not_told_again(first: int) -> None:
    history = stack(stack(History(), 7, 0, 1, 2, 3), 7, first, 4)
    frames = (1, 2, 3, 4) if first == 3 else (1, 2, 3)
    assert stacks_of(history) == {7: Stack(1, frames)}


@pytest.mark.parametrize("first", [1, 3])
def test_a_stack_begins_with_its_innermost_frame(first: int) -> None:
    history = stack(stack(History(), 7, first, 4), 7, 0, 1, 2, 3)
    assert stacks_of(history) == {7: Stack(2, (1, 2, 3))}


def test_behind_its_last_frame_a_stack_has_none() -> None:
    history = stack(stack(History(), 7, 0, 1, 2), 7, 3, 4)
    assert stacks_of(history) == {7: Stack(1, (1, 2))}


def test_a_stack_ends_where_no_more_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "MOST_FRAMES", 6)
    history = stack(stack(stack(History(), 7, 0, 1, 2, 3), 7, 3, 4, 5, 6), 7, 6, 7)
    assert stacks_of(history) == {7: Stack(1, (1, 2, 3, 4, 5, 6))}


def test_a_stack_has_an_end() -> None:
    """Those of the guest have fifteen frames."""
    history = History()
    for first in range(0, 300, 3):
        stack(history, 7, first, first + 1, first + 2, first + 3)
    assert stacks_of(history) == {7: Stack(1, tuple(range(1, 67)))}


def test_a_section_is_as_it_was_told() -> None:
    history = History().add(Type.STEP)
    history.add(Type.SECTION, serial=3, detail=5, pointer=0xFFFF_FFFF_C000_0000, size=40)
    assert told(history.records()).sections == (
        Section(sequence=2, load=3, index=5, gva=0xFFFF_FFFF_C000_0000, symbol=40),
    )


def symbol(history: History, gva: int, text: str, piece: int) -> History:
    history.text(Type.SYMBOL, text, serial=gva & 0xFFFF_FFFF, piece=piece)
    history.rows[-1]["site"] = gva >> 32
    return history


GVA = 0xFFFF_FFFF_8123_4567


def test_a_name_comes_in_pieces() -> None:
    history = History().text(Type.SUBJECT, "x" * 24, serial=1)
    history.text(Type.SUBJECT, "second", serial=2).text(Type.SUBJECT, "y", serial=1, piece=1)
    symbol(symbol(history, GVA, "z" * 24, 0), GVA, "+0x5", 1)
    symbol(history, 5, "low", 0)
    found = told(history.records())
    assert found.names == {1: "x" * 24 + "y", 2: "second"}
    assert found.kernel == {GVA: "z" * 24 + "+0x5", 5: "low"}


@pytest.mark.parametrize("piece", [0, 2, 0xFFFF_FFFF])
def test_a_piece_that_is_not_the_next_is_left_out(piece: int) -> None:
    history = History().text(Type.SUBJECT, "first", serial=1)
    history.text(Type.SUBJECT, "next", serial=1, piece=piece)
    assert told(history.records()).names == {1: "first"}


def test_a_name_begins_with_its_first_piece() -> None:
    history = History().text(Type.SUBJECT, "next", serial=1, piece=1)
    assert told(history.records()).names == {}


def test_a_name_has_an_end() -> None:
    history = History()
    for piece in range(70):
        history.text(Type.SUBJECT, "x", serial=1, piece=piece)
    assert told(history.records()).names == {1: "x" * 64}


def constant(file: str, name: str) -> int:
    found = re.search(rf"#define {name} (\d+)", (INSTRUMENT / file).read_text())
    assert found is not None
    return int(found[1])


def test_all_that_the_instrument_can_tell_is_kept() -> None:
    assert constant("books/stacks.c", "STACKS") <= stacks.MOST_STACKS
    assert constant("books/stacks.c", "DEPTH") <= stacks.MOST_FRAMES
    loads = constant("subjects/loads.c", "MOST_LOADS")
    assert loads * constant("subjects/loads.c", "MOST_SECTIONS") == stacks.MOST_SECTIONS


def test_names_have_twenty_thousand_records_at_most() -> None:
    records = np.zeros(20_001, RECORD)
    records["type"], records["serial"] = Type.SUBJECT, 1
    records["serial"][-2:] = 2, 3
    assert told(records).names.keys() == {1, 2}


def test_what_is_told_without_end_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MOST_STACKS", "MOST_SECTIONS", "MOST_NAMES"):
        monkeypatch.setattr(stacks, name, 2)
    monkeypatch.setattr(stacks, "MOST_FRAMES", 7)
    history = History()
    for number in range(1, 9):
        history.stack(number, 1).add(Type.SECTION, serial=number)
        symbol(history.text(Type.SUBJECT, "m", serial=number), number, "f", 0)
    found = told(history.records())
    # Two stacks of two records, which have three frames each.
    assert list(found.stacks) == [1, 2, 3, 4]
    assert [one.load for one in found.sections] == [1, 2]
    assert list(found.names) == list(found.kernel) == [1, 2]


EVERYTHING = Told(
    stacks={1: Stack(1, (10, 20)), 2: Stack(2, (20, 30)), 3: Stack(3, (40,))},
    sections=(Section(4, 1, 2, 0x1000, 3),),
    names={1: "m"},
    kernel={10: "ten", 20: "twenty", 30: "thirty", 40: "forty"},
)


def test_to_place_a_stack_all_loads_are_needed_and_the_names_of_its_frames() -> None:
    assert only(EVERYTHING, {2, 9}) == Told(
        {2: EVERYTHING.stacks[2]},
        EVERYTHING.sections,
        EVERYTHING.names,
        {20: "twenty", 30: "thirty"},
    )
    assert only(EVERYTHING, {1, 2, 3}) == EVERYTHING


def test_without_a_stack_nothing_is_needed() -> None:
    assert only(EVERYTHING, {9}) == only(EVERYTHING, ()) == Told()
