"""What SVM must leave as it found it: EFER, VM_HSAVE_PA and GIF of each CPU. Pure.

AMD manual volume 2: EFER.SVME 15.4, VM_HSAVE_PA 15.30.4, GIF 15.17, and for the
registers around a VMRUN 15.5.1 and 15.6.
"""

from collections.abc import Iterator

import numpy as np

from freeonce.audit.model import Finding, Rule
from freeonce.audit.rules import Run, make_finding
from freeonce.evidence.ledger import (
    CPU_STATE_GIF,
    CPU_STATE_SILENT,
    HOST_REGISTERS,
    Records,
    Type,
)


def _states(records: Records) -> dict[int, list[np.void]]:
    by_cpu: dict[int, list[np.void]] = {}
    for record in records[records["type"] == Type.CPU_STATE]:
        by_cpu.setdefault(int(record["serial"]), []).append(record)
    return by_cpu


def reasons(run: Run) -> Iterator[str]:
    """Why it is not known what the CPUs were left with."""
    states = _states(run.records)
    if not states:
        yield "no CPU's state was told"
    first, last = _between(run)
    for cpu, told in states.items():
        if any(int(record["detail"]) & CPU_STATE_SILENT for record in told):
            yield f"CPU {cpu} does not answer"
        elif run.over and len(told) != 2:
            yield f"the state of CPU {cpu} was told {len(told)} times, not before and after"
        elif run.over and not (told[0]["sequence"] < first and last < told[1]["sequence"]):
            yield f"the state of CPU {cpu} was not told before all and after all"
    for cpu in sorted({int(cpu) for cpu in run.records["cpu"]} - states.keys()):
        yield f"the state of CPU {cpu} was never told"


def _between(run: Run) -> tuple[int, int]:
    """The sequences of the first and the last thing that the scenario did."""
    ends = run.records["sequence"][run.records["type"] == Type.END]
    frame = np.isin(run.records["type"], (Type.BEGIN, Type.CPU_STATE, Type.END))
    did = run.records["sequence"][~frame]
    did = did[did < ends[0]] if len(ends) else did
    return (int(did[0]), int(did[-1])) if len(did) else (1 << 32, 0)


def _changes(before: np.void, after: np.void) -> Iterator[str]:
    for name, where in (("EFER", "pointer"), ("VM_HSAVE_PA", "physical")):
        was, now = int(before[where]), int(after[where])
        if was != now:
            yield f"{name} was {was:#x}, is {now:#x}"
    if int(before["detail"]) & CPU_STATE_GIF and not int(after["detail"]) & CPU_STATE_GIF:
        yield "GIF was left 0: interrupts are held"


def left_behind(run: Run) -> list[Finding]:
    """`not-restored`: a finding for each CPU that is not as the run found it."""
    found = []
    for told in _states(run.records).values():
        changed = list(_changes(told[0], told[-1]))
        if changed:
            found.append(make_finding(run, Rule.NOT_RESTORED, told[-1], None, "; ".join(changed)))
    return found


def host_registers(run: Run) -> list[Finding]:
    """`not-restored`: registers of the host that a VMRUN changed, a finding for each CPU."""
    changed: dict[int, list[np.void]] = {}
    for record in run.records[run.records["type"] == Type.HOST_REGISTER]:
        changed.setdefault(int(record["cpu"]), []).append(record)
    return [
        make_finding(run, Rule.NOT_RESTORED, records[0], None, "; ".join(map(_register, records)))
        for records in changed.values()
    ]


def _register(record: np.void) -> str:
    number = int(record["detail"])
    name = HOST_REGISTERS[number] if number < len(HOST_REGISTERS) else f"register {number}"
    was, now = int(record["pointer"]), int(record["physical"])
    if name == "FPU":
        return f"after a VMRUN the host's FPU registers differ from byte {now - 1} of XSAVE's area"
    return f"after a VMRUN the host's {name} was {now:#x}, before it {was:#x}"


def at_unload(records: Records) -> list[str]:
    """What module_exit left otherwise than module_init found it, in words, a line a CPU.

    `records`: the whole ledger of a module from load to exit.
    """
    outside = records[records["run"] == 0]
    lines = []
    for cpu, told in _states(outside).items():
        changed = list(_changes(told[0], told[-1]))
        if changed or len(told) < 2:
            lines.append(f"CPU {cpu}: {'; '.join(changed) or 'told once only'}")
    return lines
