"""One run's evidence to its judgement. `incomplete` until everything needed was seen."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from freeonce.audit import (
    cpu_state,
    frame,
    freed,
    hardware,
    kernel,
    memory,
    operands,
    phases,
    rules,
)
from freeonce.audit.alike import Apart
from freeonce.audit.memory import Memory
from freeonce.audit.model import Account, Asked, Finding, Judgement, Rule, Verdict
from freeonce.audit.rules import KIND_NAMES
from freeonce.audit.run import Dispute, Run, take_apart
from freeonce.evidence.ledger import Flag, Kind, Records, Type, text_of

BOTH = "ledger+memory"
PLAIN = Asked()
WITNESSES = ("ledger", "kernel", "memory")

ALL_RULES = (
    *rules.RULES,
    hardware.judge_operands,
    cpu_state.left_behind,
    cpu_state.host_registers,
)


def judge(
    records: Records,
    looked: Memory | None,
    doubts: tuple[str, ...] = (),
    guest_account: Account = Account.AGREE,
    unloaded: Records | None = None,
    *,
    asked: Asked = PLAIN,
    run: Run | None = None,
) -> Judgement:
    """The judgement on the records of one run, in order, from begin to settled.

    `looked`: the memory before the run was settled, None when nobody could look.
    `doubts`: what is already known to spoil the evidence (lost guest, full ledger).
    `guest_account`: whether the guest's own account of the ledger is what the host read.
    `unloaded`: the whole ledger after the unload of the module, when the run asked for it.
    `asked`: what the host knows of the run, whatever the guest says.
    `run`: the records taken apart, where that was done already.
    """
    run = take_apart(records) if run is None else run
    by_kernel, kernel_disputes = kernel.compare(records)
    by_memory, memory_disputes = memory.compare(run, looked) if looked else ([], [])
    disputes = [*run.disputes, *kernel_disputes, *memory_disputes]
    shown = frozenset(one.serial for one in by_memory)
    found = _found(run, asked, Apart(_pointers(disputes), shown))
    if unheld := rules.unwithheld(run, found):
        disputes += unheld
        found = _found(run, asked, Apart(_pointers(disputes), shown))
    if unloaded is not None:
        found += cpu_state.at_unload(unloaded)
    reasons = (
        *doubts,
        *frame.reasons(run, records, asked),
        *_inside(records),
        *phases.reasons(run, asked),
        *rules.reasons(run),
        *cpu_state.reasons(run, asked.cpus),
        *operands.reasons(run),
        *freed.reasons(run),
        *_missing(records, looked, guest_account),
        *_at_unload(run, unloaded, asked),
    )
    if looked:
        # The guard of undisputed memory says the same: live, and whose it is.
        late = {int(run.allocates["serial"][index]) for index in run.late}
        found = [
            replace(one, witness=BOTH) if one.rule is Rule.LEAK and one.serial not in late else one
            for one in found
        ]
    findings = _undisputed([*_confirmed(found, by_memory), *by_kernel], disputes)
    if phases.is_life(asked):
        findings = _together(findings)
    unsupported = [text_of(record) for record in records[records["type"] == Type.UNSUPPORTED]]
    return Judgement(
        verdict=_verdict(reasons, unsupported, findings),
        findings=findings,
        reasons=reasons or tuple(f"not on this CPU: {text}" for text in unsupported),
        allocations=len(run.allocates),
        releases=len(run.releases),
        vmruns=int(np.count_nonzero(records["type"] == Type.VMRUN)),
        events=len(records),
        witnesses=_accounts(findings, disputes, records, looked, guest_account),
    )


def _found(run: Run, asked: Asked, apart: Apart) -> list[Finding]:
    """What the rules find in the account."""
    found = [one for rule in ALL_RULES for one in rule(run)]
    found += [one for counted in rules.COUNTED for one in counted(run, apart)]
    if phases.is_life(asked) and not phases.all_gone(run):
        # What a module holds while it is there is its own business.
        found = [one for one in found if one.rule is not Rule.LEAK]
    return found


def _pointers(disputes: Iterable[Dispute]) -> frozenset[int]:
    return frozenset(one.pointer for one in disputes)


def _confirmed(found: list[Finding], by_memory: list[Finding]) -> list[Finding]:
    """Both accounts' findings, where the memory shows what the ledger tells as one.

    A #VMEXIT into a released page breaks its poison, and the instrument looks at what it keeps
    as the host does: neither is a second fault.
    """
    shown = {(one.rule, one.serial): one for one in by_memory if one.serial}
    told = {(one.rule, one.serial) for one in found} & shown.keys()
    found = [replace(one, witness=BOTH) if (one.rule, one.serial) in told else one for one in found]
    by_memory = [one for one in by_memory if (one.rule, one.serial) not in told]
    return _confirmed_of_the_cpu(found, by_memory)


def _confirmed_of_the_cpu(found: list[Finding], by_memory: list[Finding]) -> list[Finding]:
    accused = {
        one.serial: one for one in found if one.rule is Rule.HARDWARE_USE_AFTER_FREE and one.serial
    }
    shown = {
        one.serial: one
        for one in by_memory
        if one.rule is Rule.USE_AFTER_FREE and one.serial in accused
    }
    merged = [
        replace(one, witness=BOTH, detail=f"{one.detail}; {shown[one.serial].detail}")
        if accused.get(one.serial) is one and one.serial in shown
        else one
        for one in found
    ]
    return merged + [one for one in by_memory if shown.get(one.serial) is not one]


def _together(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Those of one rule, family and stack as one, counted; the first of them speaks for all."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for one in findings:
        key = one.rule, one.kind, one.site, one.released_site, one.witness
        # Without a stack nothing says that two are of one place.
        groups.setdefault(key if one.site else (*key, one.sequence, one.serial), []).append(one)
    return tuple(_counted(group) for group in groups.values())


def _counted(group: list[Finding]) -> Finding:
    sizes = [one.size if one.total is None else one.total for one in group if one.size is not None]
    count = sum(one.count for one in group)
    return replace(group[0], count=count, total=sum(sizes) if sizes else None)


def _missing(records: Records, looked: Memory | None, guest_account: Account) -> Iterable[str]:
    """The witnesses that were not heard, and two readings of the ledger that differ."""
    if guest_account is Account.MISSING:
        yield "the guest gave no account of its ledger"
    if guest_account is Account.DISAGREE:
        yield "the guest's own account of the ledger is not what stands in its memory"
    if not kernel.attached(records):
        yield "the kernel witness was not attached when the run began"
    if looked is None:
        yield "the memory was not read"
    elif looked.unread:
        yield f"the ledger names {looked.unread} bytes more than are looked at in one run"


def _at_unload(run: Run, unloaded: Records | None, asked: Asked) -> Iterable[str]:
    if cpu_state.asks_for_unload(run):
        last = int(run.records["sequence"][-1])
        yield from cpu_state.reasons_at_unload(unloaded, last, asked.cpus)


def _accounts(
    findings: tuple[Finding, ...],
    disputes: list[Dispute],
    records: Records,
    looked: Memory | None,
    guest_account: Account,
) -> dict[str, Account]:
    """What each witness came to: whether it was heard, and whether it speaks against the ledger."""
    against = {dispute.witness for dispute in disputes}
    seen = {finding.witness for finding in findings if finding.rule is Rule.UNLEDGERED}
    # A release by another call stands in the ledger, and nobody contradicts that.
    against |= seen - {"ledger"}
    against |= {"ledger"} if guest_account is Account.DISAGREE else set()
    heard = {
        "ledger": guest_account is not Account.MISSING,
        "kernel": kernel.attached(records),
        "memory": looked is not None,
    }
    return {
        name: Account.MISSING
        if not heard[name]
        else Account.DISAGREE
        if name in against
        else Account.AGREE
        for name in WITNESSES
    }


def _undisputed(found: list[Finding], disputes: list[Dispute]) -> tuple[Finding, ...]:
    """The findings, and one for each address about which the accounts differ.

    Of such an address no other finding stands, since it would rest on an account that is
    false; the disagreement names it. Null is no address of anybody's, and hides nothing.
    """
    by_pointer: dict[int, list[Dispute]] = {}
    for dispute in disputes:
        by_pointer.setdefault(dispute.pointer, []).append(dispute)
    hidden: dict[int, list[Finding]] = {}
    kept = []
    for one in found:
        if one.pointer and one.pointer in by_pointer:
            hidden.setdefault(one.pointer, []).append(one)
        else:
            kept.append(one)
    kept += [_disagreement(group, hidden.get(at, [])) for at, group in by_pointer.items()]
    # A leak is only one when the run has ended, whenever it was allocated.
    kept.sort(key=lambda finding: (finding.rule is Rule.LEAK, finding.sequence))
    return tuple(kept)


def _disagreement(group: list[Dispute], hidden: list[Finding]) -> Finding:
    record = group[0].record
    words = [dispute.text for dispute in group]
    words += [f"{one.rule} by the account of the {one.witness}" for one in hidden]
    return Finding(
        rule=Rule.WITNESSES_DISAGREE,
        kind=KIND_NAMES[Kind(int(record["kind"]))],
        sequence=int(record["sequence"]),
        pointer=int(record["pointer"]),
        site=int(record["site"]),
        serial=int(record["serial"]),
        detail="; ".join(dict.fromkeys(words)),
        witness="+".join(sorted({dispute.witness for dispute in group})),
    )


def _verdict(
    reasons: tuple[str, ...], unsupported: list[str], findings: tuple[Finding, ...]
) -> Verdict:
    if reasons:
        return Verdict.INCOMPLETE
    if findings:
        return Verdict.FAULTY
    # Also of a run that had to try before it knew: what it did was looked at.
    return Verdict.UNSUPPORTED if unsupported else Verdict.CLEAN


def _inside(records: Records) -> Iterable[str]:
    """What must not be between begin and end."""
    kinds = records["type"]
    if Type.PANIC in kinds:
        yield "Rust panicked"
    if Type.MODULE_EXIT in kinds:
        yield "the module was unloaded"
    entered = (kinds == Type.VMRUN) & (records["flags"] & Flag.WITHHELD == 0)
    if np.count_nonzero(entered) != np.count_nonzero(kinds == Type.VMEXIT):
        yield "a VMRUN never came back"
