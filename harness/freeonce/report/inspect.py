"""Guest memory and records as lines of text, for who looks at a guest by hand. Pure."""

from collections.abc import Iterator

import numpy as np

from freeonce.evidence.exits import exit_name
from freeonce.evidence.ledger import (
    POISON_RELEASED,
    Kind,
    Structure,
    Type,
    Witness,
    signed,
    text_of,
)
from freeonce.evidence.vmcb import CONTROL_AREA, STATE_SAVE_AREA, Field

ROW = 16
WITH_TEXT = (Type.BEGIN, Type.LABEL, Type.STEP, Type.UNSUPPORTED, Type.PANIC)


def hex_lines(gpa: int, data: bytes) -> Iterator[str]:
    """Rows of 16 bytes; a `*` stands for rows like the one above it, as in hexdump(1)."""
    above, starred = None, False
    for at in range(0, len(data), ROW):
        row = data[at : at + ROW]
        if row == above:
            if not starred:
                yield "*"
            starred = True
            continue
        above, starred = row, False
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        yield f"{gpa + at:08x}  {row.hex(' '):<{3 * ROW - 1}}  |{text}|"
    yield f"{gpa + len(data):08x}"


def vmcb_lines(gpa: int, vmcb: bytes) -> Iterator[str]:
    """A VMCB of 4096 bytes, field by field; those that are 0 are left out."""
    if set(vmcb) == {POISON_RELEASED}:
        yield f"{gpa:#x} was released: all of it is poison ({POISON_RELEASED:#x})"
        return
    for title, area in (("control area", CONTROL_AREA), ("state save area", STATE_SAVE_AREA)):
        yield f"VMCB {gpa:#x}, {title}"
        yield from (_field_line(field, vmcb) for field in area if field.value(vmcb))


def _field_line(field: Field, vmcb: bytes) -> str:
    value = field.value(vmcb)
    name = f"  {exit_name(value)}" if field.name == "exit_code" else ""
    return f"  {field.offset:#05x}  {field.name:<24}{value:#0{2 * field.size + 2}x}{name}"


def record_line(record: np.void) -> str:
    """One record of the ledger: sequence, seconds, CPU, witness, type and what it carries."""
    kind = Type(int(record["type"]))
    head = (
        f"{record['sequence']:6} {int(record['time']) / 1e9:11.6f} CPU {record['cpu']} "
        f"{Witness(int(record['witness'])).name.lower():<6} {kind.name.lower():<15}"
    )
    return f"{head} {_carried(kind, record)}".rstrip()


def _carried(kind: Type, record: np.void) -> str:
    """What a record says beyond its type: text, or its numbers by the names of LEDGER.md."""
    if kind in WITH_TEXT:
        serial = f"serial {record['serial']} " if kind is Type.LABEL else ""
        return f"{serial}{text_of(record)}"
    if kind is Type.GUARD:
        return f"serial {record['serial']}"
    named = [Kind(int(record["kind"])).name.lower()] if record["kind"] else []
    named += [f"serial {record['serial']}"] if record["serial"] else []
    numbers = [(name, int(record[name])) for name in ("pointer", "physical", "size")]
    named += [f"{name} {value:#x}" for name, value in numbers if value]
    return " ".join([*named, *_detail(kind, int(record["detail"]))])


def _detail(kind: Type, detail: int) -> list[str]:
    if kind is Type.VMEXIT:
        return [exit_name(detail)]
    if kind is Type.OPERAND:
        numbers = {int(one) for one in Structure}
        code = detail & 0xFF
        return [Structure(code).name.lower() if code in numbers else f"structure {code}"]
    if kind in (Type.END, Type.ALLOCATE_FAILED):
        return [f"error {signed(detail)}"]
    return [f"detail {detail:#x}"] if detail else []
