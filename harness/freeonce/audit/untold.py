"""Instructions that give the CPU memory and could not be patched: may they have run? Pure."""

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
    among,
)

GIVES = ("vmrun", "vmload", "vmsave")
"""What gives an address each time."""
WRITES = "wrmsr"
"""Of those that may write EFER or VM_HSAVE_PA. What stands there between two looks nobody sees."""

EFER_SVME = 1 << 12
SEV_ES = "_sev_es_"
"""In the names of functions that are only for guests with encrypted state, as Linux's."""


def untold(targets: Sequence[Target], records: Records) -> Iterator[Reason]:
    """One for each target that has any, and that may have come there.

    `records`: of the life. Without EFER.SVME all of them but WRMSR are #UD (15.4), and a function
    for SEV-ES is of no use to a CPU that has none (CPUID Fn8000_001F_EAX[3]). A WRMSR counts where
    a target gives the CPU memory: others write MSRs of their own.
    """
    if not len(records):
        return
    every = [one for target in targets for one in target.instructions]
    writes = any(one.name in GIVES for one in every)
    counts = {WRITES} if writes else set()
    if _svm_was_on(records) or (writes and any(one.left and one.name == WRITES for one in every)):
        counts.update(GIVES)
    without_sev_es = _without_sev_es(records)
    for target in targets:
        left = [
            one
            for one in target.instructions
            if one.left and one.name in counts and not (without_sev_es and SEV_ES in one.function)
        ]
        if left:
            each = "; ".join(one.words for one in left)
            said = f"{target.name} gives the CPU memory by {len(left)} unpatched instructions"
            yield Reason(Obstacle.UNTOLD_VMRUN, f"{said}: {each}")


def _svm_was_on(records: Records) -> bool:
    """Whether a CPU ever was told to have it."""
    kinds = records["type"]
    areas = (kinds == Type.OPERAND) & (records["detail"] & 0xFF == Structure.HOST_SAVE_AREA)
    states = records[kinds == Type.CPU_STATE]
    return bool(
        np.any(areas)
        or np.any(among(kinds, (Type.SVM_ON, Type.VMRUN)))
        or np.any(states["pointer"] & np.uint64(EFER_SVME))
    )


def _without_sev_es(records: Records) -> bool:
    """Whether every CPU said so."""
    states = records["detail"][records["type"] == Type.CPU_STATE]
    return len(states) > 0 and not np.any(states & (CPU_STATE_SEV_ES | CPU_STATE_SILENT))
