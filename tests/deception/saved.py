"""Runs of planted faults as a guest told them, kept so that no guest is needed to change them."""

import json
import lzma
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freeonce.audit.memory import Memory
from freeonce.audit.result import Evidence
from freeonce.evidence.ledger import Records, parse_records
from freeonce.evidence.snapshot import Snapshot

FILE = Path(__file__).parents[1] / "data" / "planted.json.xz"


@dataclass(frozen=True)
class Planted:
    """One run of a planted fault. `cpus`: of its machine. `rule`: what was planted.

    `unloaded`: the whole ledger after the unload, of a run that asked for it.
    """

    name: str
    rule: str
    cpus: int
    records: Records
    memory: Memory
    unloaded: Records | None = None


def save(planted: Iterable[tuple[str, str, int, Evidence]], file: Path = FILE) -> None:
    """Write them: name, rule, CPUs and evidence of each."""
    documents = [_document(*one) for one in planted]
    file.write_bytes(lzma.compress(json.dumps(documents).encode(), preset=9))


def load(file: Path = FILE) -> list[Planted]:
    """What was saved, in that order."""
    return [_planted(document) for document in json.loads(lzma.decompress(file.read_bytes()))]


def _document(name: str, rule: str, cpus: int, evidence: Evidence) -> dict[str, Any]:
    memory = evidence.memory
    assert memory is not None
    parts = [(one.gpa, memory.snapshot.read(one.gpa, one.size)) for one in memory.snapshot.extents]
    unloaded = evidence.unloaded
    return {
        "name": name,
        "rule": rule,
        "cpus": cpus,
        "records": _hex(evidence.records),
        "unloaded": None if unloaded is None else _hex(unloaded),
        "memory": [(gpa, (data or b"").hex()) for gpa, data in parts],
        "gpas": list(memory.gpas.items()),
        "page_offset": memory.page_offset,
    }


def _hex(records: Records) -> tuple[int, str]:
    """The first sequence, and the bytes."""
    return int(records["sequence"][0]), records.tobytes().hex()


def _records(first: int, data: str) -> Records:
    parsed = parse_records(bytes.fromhex(data), first - 1)
    assert not parsed.torn
    assert not parsed.damaged, "the ledger has another version now: record them again"
    return parsed.records


def _planted(document: dict[str, Any]) -> Planted:
    parts = [(gpa, bytes.fromhex(data)) for gpa, data in document["memory"]]
    unloaded = document["unloaded"]
    return Planted(
        name=document["name"],
        rule=document["rule"],
        cpus=document["cpus"],
        records=_records(*document["records"]),
        memory=Memory(Snapshot(parts), dict(map(tuple, document["gpas"])), document["page_offset"]),
        unloaded=_records(*unloaded) if unloaded else None,
    )
