"""What SVM must leave as it found it: EFER, VM_HSAVE_PA and GIF of each CPU. Pure.

AMD manual volume 2: EFER.SVME 15.4, VM_HSAVE_PA 15.30.4, GIF 15.17, and for the
registers around a VMRUN 15.5.1 and 15.6.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from freeonce.audit.frame import late_releases
from freeonce.audit.model import Finding, Rule
from freeonce.audit.rules import make_finding
from freeonce.audit.run import NEVER, Run, end_of, ending_of, take_apart
from freeonce.evidence.ledger import (
    CPU_STATE_GIF,
    CPU_STATE_SILENT,
    HOST_REGISTERS,
    Flag,
    Records,
    Type,
    among,
)


def _states(records: Records) -> dict[int, list[np.void]]:
    by_cpu: dict[int, list[np.void]] = {}
    for record in records[records["type"] == Type.CPU_STATE]:
        by_cpu.setdefault(int(record["serial"]), []).append(record)
    return by_cpu


def _parts(run: Run) -> tuple[Records, ...]:
    """All that its owner told, in parts of their own order."""
    return run.records, run.allocates, run.releases


def reasons(run: Run, cpus: int | None = None) -> Iterator[str]:
    """Why it is not known what the CPUs were left with. `cpus`: how many the machine has."""
    states = _states(run.records)
    if not states:
        yield "no CPU state was recorded"
    span = _Span.of(run)
    for cpu, told in states.items():
        if any(map(_silent, told)):
            yield f"CPU {cpu} does not answer"
        elif run.over and len(told) != 2:
            yield f"the state of CPU {cpu} was recorded {len(told)} times, not before and after"
        elif run.over and not span.within(cpu, told):
            yield f"the state of CPU {cpu} was not recorded before and after everything else"
    acted = {cpu for part in _parts(run) for cpu in np.unique(part["cpu"]).tolist()}
    for cpu in sorted((acted | set(range(cpus or 0))) - states.keys()):
        yield f"the state of CPU {cpu} was never recorded"
    yield from _unknown_cpus(acted | states.keys(), cpus)


def _unknown_cpus(told: set[int], cpus: int | None) -> Iterator[str]:
    if cpus is not None and any(cpu >= cpus for cpu in told):
        yield f"the ledger has records of CPU {max(told)}, but the machine has only {cpus}"


FRAME = (
    *(Type.BEGIN, Type.CPU_STATE, Type.END),
    *(Type.SUBJECT, Type.SECTION, Type.STACK, Type.SYMBOL, Type.QUIESCED),
)
"""What the instrument tells by itself."""
FROM_BELOW = (Type.VMRUN, Type.VMEXIT, Type.BIND, Type.OPERAND, Type.STATIC)
"""What a hypervisor that was left running goes on to record while its CPU's state is asked."""


@dataclass(frozen=True)
class _Span:
    """Where the scenario began and ended, by sequence.

    `last`: of the scenario as a whole. `last_of[cpu]`: of what that CPU recorded, from
    below too; 0 for one that recorded nothing.
    """

    first: int
    last: int
    last_of: npt.NDArray[np.uint32]

    @classmethod
    def of(cls, run: Run) -> "_Span":
        """The span of a run, up to its end."""
        end, ending = end_of(run.records), ending_of(run.records)
        first, last = NEVER, 0
        parts = _parts(run)
        most = max((int(part["cpu"].max()) for part in parts if len(part)), default=0)
        last_of = np.zeros(most + 1, np.uint32)
        for part in parts:
            kinds, sequences = part["type"], part["sequence"]
            did = ~among(kinds, FRAME) & (sequences < end) & ~late_releases(run, part)
            # What was withheld from the kernel while the run was ended did nothing to a CPU.
            did &= ~((kinds == Type.RELEASE) & (sequences > ending))
            if not did.any():
                continue
            of_part = np.zeros_like(last_of)
            # The sequences rise, and of several the last one stays.
            of_part[part["cpu"][did]] = sequences[did]
            last_of = np.maximum(last_of, of_part)
            of_scenario = sequences[did & ~among(kinds, FROM_BELOW)]
            first = min(first, int(sequences[np.argmax(did)]))
            if len(of_scenario):
                last = max(last, int(of_scenario[-1]))
        return cls(first, last, last_of)

    def within(self, cpu: int, told: list[np.void]) -> bool:
        """Whether a CPU's two states were told around all of this.

        `cpu` is what the record says, so it may be no CPU that can record.
        """
        own = int(self.last_of[cpu]) if cpu < len(self.last_of) else 0
        before, after = (int(record["sequence"]) for record in told)
        return before < self.first and max(self.last, own) < after


def _changes(before: np.void, after: np.void) -> Iterator[str]:
    for name, where in (("EFER", "pointer"), ("VM_HSAVE_PA", "physical")):
        was, now = int(before[where]), int(after[where])
        if was != now:
            yield f"{name} was {was:#x}, is {now:#x}"
    if int(before["detail"]) & CPU_STATE_GIF and not int(after["detail"]) & CPU_STATE_GIF:
        yield "GIF was left 0: interrupts are held"


def _silent(record: np.void) -> bool:
    """Whether the CPU did not answer, so that the state is nobody's."""
    return bool(int(record["detail"]) & CPU_STATE_SILENT)


def left_behind(run: Run) -> list[Finding]:
    """`not-restored`: a finding for each CPU that is not as the run found it."""
    found = []
    for told in _states(run.records).values():
        known = not _silent(told[0]) and not _silent(told[-1])
        changed = list(_changes(told[0], told[-1])) if known else []
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


def asks_for_unload(run: Run) -> bool:
    """Whether the module is to be unloaded when this run is settled."""
    ends = run.records[run.records["type"] == Type.END]
    return bool(np.any(ends["flags"] & Flag.UNLOAD))


def at_unload(ledger: Records) -> list[Finding]:
    """`not-restored`: what the module's exit left otherwise than its init found it.

    `ledger`: all of it, from load to exit; where it begins later, from the first run on.
    """
    return left_behind(take_apart(ledger[among(ledger["type"], UNLOADING)]))


def reasons_at_unload(ledger: Records | None, after: int, cpus: int | None = None) -> Iterator[str]:
    """Why that is not known.

    `after`: the sequence of the last record of the run before. `cpus`: how many there are.
    """
    if (
        ledger is None
        or not len(told := ledger[among(ledger["type"], UNLOADING)])
        or told[-1]["type"] != Type.MODULE_EXIT
    ):
        yield "the module was not unloaded"
        return
    # The run is settled: the exit of the module tells the CPUs' states, and nothing else.
    later = ledger[ledger["sequence"] > after]
    if np.any(later["run"] != 0) or not np.all(among(later["type"], UNLOADING)):
        yield "something happened between the run and the unload"
    states = _states(told)
    for cpu in sorted(set(range(cpus or 0)) - states.keys()):
        yield f"the state of CPU {cpu} was not recorded before the run and at the unload"
    for cpu, records in states.items():
        if _silent(records[-1]):
            yield f"CPU {cpu} does not answer at the unload"
        elif _silent(records[0]):
            yield f"CPU {cpu} did not answer at the load"
        elif records[-1]["sequence"] <= after or records[0]["sequence"] > after:
            yield f"the state of CPU {cpu} was not recorded before the run and at the unload"


UNLOADING = (Type.CPU_STATE, Type.MODULE_EXIT)
