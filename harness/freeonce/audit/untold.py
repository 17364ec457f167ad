"""Instructions that give the CPU memory and of which nobody tells: may they have run? Pure."""

from collections.abc import Iterator, Sequence

import numpy as np

from freeonce.audit.life import Reason, Target
from freeonce.errors import Obstacle
from freeonce.evidence.ledger import (
    CPU_STATE_SEV_ES,
    CPU_STATE_SILENT,
    Records,
    Structure,
    Type,
)

GIVES = ("vmrun", "vmload", "vmsave")
"""What gives an address each time. A WRMSR of SVM's registers shows in what the CPUs have."""

EFER_SVME = 1 << 12
SEV_ES = "_sev_es_"
"""In the names of functions that are only for guests with encrypted state, as Linux's."""


def untold(targets: Sequence[Target], records: Records) -> Iterator[Reason]:
    """One for each target that has any, and that may have come there.

    `records`: of the life. Without EFER.SVME all of them are #UD (15.4), and a function for SEV-ES
    is of no use to a CPU that has none (CPUID Fn8000_001F_EAX[3]).
    """
    if not _svm_was_on(targets, records):
        return
    without_sev_es = _without_sev_es(records)
    for target in targets:
        left = [
            one
            for one in target.instructions
            if one.left and one.name in GIVES and not (without_sev_es and SEV_ES in one.function)
        ]
        if left:
            each = "; ".join(one.words for one in left)
            said = f"{target.name} gives the CPU memory at {len(left)} places of which nobody tells"
            yield Reason(Obstacle.UNTOLD_VMRUN, f"{said}: {each}")


def _svm_was_on(targets: Sequence[Target], records: Records) -> bool:
    """Whether a CPU ever was told to have it, or nobody could tell."""
    if not len(records):
        return False
    left = {one.name for target in targets for one in target.instructions if one.left}
    kinds = records["type"]
    areas = (kinds == Type.OPERAND) & (records["detail"] & 0xFF == Structure.HOST_SAVE_AREA)
    states = records[kinds == Type.CPU_STATE]
    return "wrmsr" in left or bool(
        np.any(areas)
        or np.any(np.isin(kinds, (Type.SVM_ON, Type.VMRUN)))
        or np.any(states["pointer"] & np.uint64(EFER_SVME))
    )


def _without_sev_es(records: Records) -> bool:
    """Whether every CPU said so."""
    states = records["detail"][records["type"] == Type.CPU_STATE]
    return len(states) > 0 and not np.any(states & (CPU_STATE_SEV_ES | CPU_STATE_SILENT))
