"""Memory and records as lines."""

from freeonce.evidence.ledger import Type
from freeonce.evidence.vmcb import VMCB_BYTES
from freeonce.report.inspect import hex_lines, record_line, vmcb_lines
from tests.unit.history import History


def test_a_vmcb_is_told_field_by_field_and_its_exit_by_name() -> None:
    vmcb = bytearray(VMCB_BYTES)
    vmcb[0x58] = 7
    vmcb[0x70:0x78] = (0x81).to_bytes(8, "little")
    vmcb[0x578:0x580] = (0x1234).to_bytes(8, "little")
    assert [line.split() for line in vmcb_lines(0x5000, bytes(vmcb))] == [
        ["VMCB", "0x5000,", "control", "area"],
        ["0x058", "asid", "0x00000007"],
        ["0x070", "exit_code", "0x0000000000000081", "VMEXIT_VMMCALL"],
        ["VMCB", "0x5000,", "state", "save", "area"],
        ["0x578", "rip", "0x0000000000001234"],
    ]


def test_a_released_vmcb_is_not_decoded() -> None:
    assert list(vmcb_lines(0x5000, b"\x6b" * VMCB_BYTES)) == [
        "0x5000 was released: all of it is poison (0x6b)"
    ]


def test_a_dump_shows_bytes_text_and_a_star_for_rows_that_repeat() -> None:
    data = b"freeonce\0\x1b\x7f" + bytes(5) + bytes(48)
    assert list(hex_lines(0x1000, data)) == [
        "00001000  66 72 65 65 6f 6e 63 65 00 1b 7f 00 00 00 00 00  |freeonce........|",
        "00001010  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  |................|",
        "*",
        "00001040",
    ]


def test_every_type_of_record_has_a_line() -> None:
    for kind in Type:
        history = History().add(kind, serial=3)
        assert f" {kind.name.lower()} " in f"{record_line(history.records()[0])} "


def test_a_record_says_what_it_carries() -> None:
    history = (
        History()
        .text(Type.STEP, "assign")
        .add(Type.ALLOCATE, pointer=0xFFFF888000001000, physical=0x1000, size=64, serial=3, kind=1)
    )
    history.add(Type.VMEXIT, serial=1, detail=0x81)
    step, allocate, vmexit = (record_line(one).split() for one in history.records())
    assert step[-2:] == ["step", "assign"]
    wanted = "pool serial 3 pointer 0xffff888000001000 physical 0x1000 size 0x40"
    assert allocate[-len(wanted.split()) :] == wanted.split()
    assert vmexit[-3:] == ["serial", "1", "VMEXIT_VMMCALL"]
