"""Many scenarios in one guest after another: run, read the evidence twice, judge."""

import difflib
import fnmatch
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from freeonce.audit.audit import judge, match
from freeonce.audit.model import Account, Finding, Judgement, Verdict
from freeonce.errors import CommandFailed, EvidenceError, GuestLost, UsageError
from freeonce.evidence.ledger import Parsed, Records, parse_records
from freeonce.evidence.scenarios import Expectation, Scenario
from freeonce.guest import Guest

Boot = Callable[[], AbstractContextManager[Guest]]
"""Makes a fresh guest."""


@dataclass(frozen=True)
class Result:
    """What one scenario came to. `why`: for each expected finding, the expectation it met."""

    scenario: Scenario
    judgement: Judgement
    as_expected: bool
    why: dict[Finding, Expectation]
    accounts: dict[str, Account]
    seconds: float


def select(scenarios: Sequence[Scenario], patterns: Sequence[str]) -> tuple[Scenario, ...]:
    """The scenarios that match any pattern (fnmatch), in the guest's order; all without one.

    Raises UsageError for a pattern that matches none.
    """
    names = [scenario.name for scenario in scenarios]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            near = difflib.get_close_matches(pattern, names, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else "'freeonce list' shows them all"
            raise UsageError(f"no scenario matches {pattern!r}; {hint}")
    return tuple(
        scenario
        for scenario in scenarios
        if not patterns or any(fnmatch.fnmatch(scenario.name, p) for p in patterns)
    )


@dataclass(frozen=True)
class Evidence:
    """What one run left, and what is wrong with it."""

    records: Records
    doubts: tuple[str, ...]
    accounts: dict[str, Account]


def weigh(scanned: Parsed, dropped: int, host_bytes: bytes, guest_bytes: bytes | None) -> Evidence:
    """The evidence from the host's bytes, held against the guest's own account of them.

    `guest_bytes`: None when the guest gave none.
    """
    doubts = []
    if dropped:
        doubts.append(f"the ledger is full: {dropped} records were dropped")
    if scanned.torn:
        doubts.append(f"{scanned.torn} records of the ledger were never finished")
    if scanned.damaged:
        doubts.append(f"{scanned.damaged} records of the ledger are damaged")
    if guest_bytes is None:
        account = Account.MISSING
        doubts.append("the guest gave no account of its ledger")
    elif guest_bytes != host_bytes:
        account = Account.DISAGREE
        doubts.append("the guest's account of its ledger is not what stands in its memory")
    else:
        account = Account.AGREE
    # Only records of this run: what the previous one left is given back before its begin.
    runs = scanned.records["run"] != 0
    return Evidence(
        scanned.records[runs],
        tuple(doubts),
        {"ledger": account, "kernel": Account.UNUSED, "memory": Account.UNUSED},
    )


def collect(guest: Guest, first: int, dropped_before: int) -> Evidence:
    """Read what stands in the ledger from record `first`: by the host, then by the guest.

    Raises EvidenceError when the window holds no ledger, GuestLost when QEMU is gone.
    """
    header, host_bytes = guest.window(first)
    try:
        guest_bytes = guest.account(first)
    except (CommandFailed, GuestLost):
        guest_bytes = None
    scanned = parse_records(host_bytes, first)
    return weigh(scanned, header.dropped - dropped_before, host_bytes, guest_bytes)


def _incomplete(scenario: Scenario, reasons: tuple[str, ...], seconds: float) -> Result:
    judgement = Judgement(Verdict.INCOMPLETE, (), reasons, 0, 0, 0, 0)
    accounts = {"ledger": Account.MISSING, "kernel": Account.UNUSED, "memory": Account.UNUSED}
    return Result(scenario, judgement, False, {}, accounts, seconds)


def _result(scenario: Scenario, evidence: Evidence, seconds: float) -> Result:
    judgement = judge(evidence.records, evidence.doubts)
    why, matches = match(judgement.findings, scenario.expected)
    as_expected = {
        Verdict.CLEAN: matches,
        Verdict.FAULTY: matches,
        # It said beforehand that a CPU may lack this.
        Verdict.UNSUPPORTED: scenario.needs is not None,
        Verdict.INCOMPLETE: False,
    }[judgement.verdict]
    return Result(scenario, judgement, as_expected, why, evidence.accounts, seconds)


def _lost(error: GuestLost) -> str:
    console = f"; the console's last lines:\n{error.console}" if error.console else ""
    return f"the guest was lost: {error}{console}"


def _run_lost(guest: Guest, first: int, error: GuestLost) -> Evidence:
    """What can still be read of a run whose guest was lost in it."""
    reason = _lost(error)
    try:
        header, data = guest.window(first)
        evidence = weigh(parse_records(data, first), header.dropped, data, None)
    except (GuestLost, EvidenceError) as second:
        nothing = parse_records(b"", 0).records
        return Evidence(nothing, (reason, f"its ledger cannot be read: {second}"), {})
    return Evidence(evidence.records, (reason, *evidence.doubts), evidence.accounts)


def run_one(guest: Guest, scenario: Scenario) -> tuple[Result, bool]:
    """Run one scenario. Its result, and whether the guest is fit for another."""
    start = time.monotonic()
    fit = True
    try:
        before = guest.header()
        try:
            guest.run(scenario.name)
            evidence = collect(guest, before.count, before.dropped)
        except CommandFailed as error:
            return _incomplete(scenario, (str(error),), time.monotonic() - start), True
        except GuestLost as error:
            fit = False
            evidence = _run_lost(guest, before.count, error)
    except EvidenceError as error:
        return _incomplete(scenario, (str(error),), time.monotonic() - start), False
    except GuestLost as error:
        return _incomplete(scenario, (_lost(error),), time.monotonic() - start), False
    return _result(scenario, evidence, time.monotonic() - start), fit


def run_all(
    boot: Boot,
    patterns: Sequence[str],
    *,
    chosen: Callable[[tuple[Scenario, ...]], None] = lambda _: None,
    starting: Callable[[Scenario], None] = lambda _: None,
) -> Iterator[Result]:
    """The results one by one, in the guest's order. A guest that is lost is replaced.

    `chosen` is told which scenarios will run, `starting` which one does now. Raises
    UsageError for a pattern that matches none, GuestLost when no guest can be had.
    """
    with ExitStack() as guests:
        guest = guests.enter_context(boot())
        scenarios = select(guest.scenarios(), patterns)
        chosen(scenarios)
        fit = True
        for scenario in scenarios:
            if not fit:
                guests.close()
                guest = guests.enter_context(boot())
            starting(scenario)
            result, fit = run_one(guest, scenario)
            yield result


def exit_status(results: Sequence[Result]) -> int:
    """0: every verdict as expected; 4: some incomplete; 1: some not as expected."""
    if any(result.judgement.verdict is Verdict.INCOMPLETE for result in results):
        return 4
    return 0 if all(result.as_expected for result in results) else 1
