"""What a scenario says in words: a long text comes in several records. Pure."""

from dataclasses import dataclass

import numpy as np

from freeonce.evidence.ledger import Records, bytes_of, text_of_bytes

MOST_PIECES = 10


@dataclass(frozen=True)
class Said:
    """A whole text. `record`: of its first piece, where it was said."""

    record: np.void
    text: str


def whole(records: Records) -> tuple[Said, ...]:
    """The texts of records of one type, in order. A piece without those before it stands alone."""
    texts: list[tuple[np.void, list[bytes]]] = []
    growing: dict[tuple[int, int], list[bytes]] = {}
    for record in records:
        who = int(record["cpu"]), int(record["serial"])
        pieces = growing.get(who)
        if pieces is None or not int(record["detail"]) == len(pieces) < MOST_PIECES:
            pieces = growing[who] = []
            texts.append((record, pieces))
        pieces.append(bytes_of(record))
    return tuple(Said(record, text_of_bytes(b"".join(pieces))) for record, pieces in texts)
