"""Changes by records, beside libFuzzer's own by bytes: checks are set anew by the target."""

import random

import numpy as np

from freeonce.evidence.ledger import RECORD, RECORD_BYTES, Family, Flag, Structure, Type, Witness
from tests.fuzz.ledgers import HEAD

START = 1 + HEAD
INTERESTING = (0, 1, 2, 8, 63, 64, 4095, 4096, (1 << 31) - 1, (1 << 32) - 1, 1 << 63, (1 << 64) - 1)
MEANINGS = {
    "type": [int(one) for one in Type],
    "witness": [int(one) for one in Witness],
    "kind": [int(one) for one in Family],
    "flags": [0, *(int(one) for one in Flag)],
    "detail": [0, *(int(one) | 6 << 8 for one in Structure), 15, 6],
}


def mutate(data: bytes, most: int, seed: int) -> bytes:
    """One to three changes of records; `most`: bytes of the outcome."""
    chance = random.Random(seed)
    head, body = data[:START].ljust(START, b"\0"), data[START:]
    records = list(np.frombuffer(body, RECORD, count=len(body) // RECORD_BYTES).copy())
    for _ in range(chance.randint(1, 3)):
        _change(records, chance)
    changed = b"".join(record.tobytes() for record in records)
    return (head + changed)[:most]


def _change(records: list[np.void], chance: random.Random) -> None:
    if not records:
        records.append(np.zeros(1, RECORD)[0])
    at, other = chance.randrange(len(records)), chance.randrange(len(records))
    match chance.randrange(6):
        case 0:
            del records[at]
        case 1:
            records.insert(other, records[at].copy())
        case 2:
            records[at], records[other] = records[other], records[at]
        case _:
            _set(records, at, other, chance)


def _set(records: list[np.void], at: int, other: int, chance: random.Random) -> None:
    """A field to another's value, a meaning, a neighbour, or an extreme."""
    field = chance.choice(RECORD.names or ())
    most = (1 << RECORD[field].itemsize * 8) - 1
    now = int(records[at][field])
    near = now + chance.choice((-4096, -16, -8, -1, 1, 8, 16, 4096))
    choices = [int(records[other][field]), near, chance.choice(INTERESTING)]
    choices += [chance.choice(MEANINGS[field])] * 2 if field in MEANINGS else []
    changed = records[at].copy()
    changed[field] = chance.choice(choices) & most
    records[at] = changed
