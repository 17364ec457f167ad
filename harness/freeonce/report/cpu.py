"""What CPUs were given in a run, in figures: for programs and for people. Pure."""

import numpy as np

from freeonce.evidence.ledger import Flag, Records, Structure, Type


def cpu_document(records: Records) -> dict[str, object]:
    """`vmruns`: that CPUs took; `vcpus`: by their VMCBs; `operands`: addresses, by structure."""
    kinds = records["type"]
    taken = (kinds == Type.VMRUN) & (records["flags"] & Flag.WITHHELD == 0)
    told = (kinds == Type.OPERAND) & (records["flags"] & Flag.GONE == 0)
    structures = records["detail"][told] & 0xFF
    operands = {
        one.name.lower(): int(np.count_nonzero(structures == one))
        for one in Structure
        if np.any(structures == one)
    }
    return {
        "vmruns": int(np.count_nonzero(taken)),
        "vcpus": len(np.unique(records["serial"][kinds == Type.BIND])),
        "operands": operands,
        "pages_freed": int(np.count_nonzero(kinds == Type.PAGE_FREED)),
    }


def cpu_words(records: Records) -> str:
    """The same in a line; nothing of a run without."""
    figures = cpu_document(records)
    operands = figures["operands"]
    if not isinstance(operands, dict) or not operands:
        return ""
    each = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in operands.items())
    given = f"the CPU was given {sum(operands.values())} addresses: {each}"
    return f"{figures['vmruns']} VMRUNs of {figures['vcpus']} vcpus; {given}"
