"""Make the corpus anew from what is known to be whole: `python -m tests.fuzz.seeds`."""

import gzip
import lzma
import tempfile
from pathlib import Path

import numpy as np

from freeonce.evidence.ledger import HEADER, MAGIC, RECORD_BYTES, VERSION
from tests.deception.saved import load
from tests.fuzz.ledgers import CAPACITY, HEAD, LOOKED, SEALED, TRUE, WRITERS
from tests.fuzz.targets import CORPUS
from tests.unit.modules import compiled

LONGEST = 200
TABLE = (
    b"scenario\tfault/leak/pool/c\tFaults\tC\t-\t-\t1\t-\tA lesson.\n"
    b"expect\tleak\tpool\there\tit\tit does\n"
    b"scenario\tmine/[/x]\tMine\tRust\tsvm\tpanic\t1\t-\t<script>alert(1)</script>\n"
)


def _ledgers() -> None:
    header = np.zeros((), HEADER)
    header["magic"], header["version"], header["record_size"] = MAGIC, VERSION, RECORD_BYTES
    header["capacity"] = CAPACITY
    head = header.tobytes().ljust(HEAD, b"\0")[:HEAD]
    seen = set()
    for planted in load():
        rule, kind = planted.name.split("/")[1:3]
        if (rule, kind) in seen or len(planted.records) > LONGEST:
            continue
        seen.add((rule, kind))
        options = SEALED | LOOKED | TRUE | len(seen) % 4 << WRITERS
        _put("ledger", f"{rule}-{kind}", bytes([options]) + head + planted.records.tobytes())


def _put(target: str, name: str, data: bytes) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def _files() -> None:
    with tempfile.TemporaryDirectory() as folder:
        module = compiled(Path(folder), flags=()).read_bytes()
    _put("module", "sample", module)
    _put("packed", "xz", lzma.compress(module))
    _put("packed", "gz", gzip.compress(module, mtime=0))
    entry = (0x1000 | 0x87).to_bytes(8, "little")
    gvas = b"".join((0xFFFF_8880_0000_0000 + at * 8).to_bytes(8, "little") for at in range(8))
    _put("tables", "loop", (0x1000).to_bytes(8, "little") + gvas + entry * 512)


def main() -> None:
    """Write them."""
    _ledgers()
    _files()
    _put("table", "three", TABLE)
    _put("account", "whole", b"0 3\nabc")
    _put("account", "error", b"22 0\n")
    _put("control", "answers", b"1 0\n2 22\n3 0\n")
    _put("console", "oops", b"[ 1.0] BUG: \x1b[31mkernel\x1b[0m\r\n\xff\xfe line\nOops: 0002\n")


if __name__ == "__main__":
    main()
