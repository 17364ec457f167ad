"""Many scenarios: run each in a guest, read the evidence twice, judge."""

import difflib
import fnmatch
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from freeonce.audit import cpu_state, memory, rules
from freeonce.audit.audit import judge, match
from freeonce.audit.memory import Memory
from freeonce.audit.model import Account, Finding, Judgement, Verdict
from freeonce.errors import (
    CommandFailed,
    EvidenceError,
    GuestLost,
    Loss,
    UsageError,
)
from freeonce.evidence.ledger import (
    RECORD_BYTES,
    TEXT_BYTES,
    Header,
    Records,
    Type,
    parse_records,
    text_of,
)
from freeonce.evidence.scenarios import Expectation, Scenario
from freeonce.guest import COMMAND_SECONDS, Guest

Scenarios = tuple[Scenario, ...]

Boot = Callable[[], AbstractContextManager[Guest]]
"""Makes a fresh guest."""


Starting = Callable[[Scenario], None]
"""Is told what runs now, from whichever thread runs it."""


@dataclass(frozen=True)
class Evidence:
    """What one run left: its records, its memory, and what is wrong with them.

    `unloaded`: the whole ledger after the module's unload, of a run that asked for it.
    """

    records: Records
    memory: Memory | None = None
    doubts: tuple[str, ...] = ()
    account: Account = Account.MISSING
    loss: Loss | None = None
    unloaded: Records | None = None


NOTHING = parse_records(b"", 0).records


@dataclass(frozen=True)
class Result:
    """What one scenario came to. `why`: for each expected finding, the expectation it met.

    `loss`: how its guest was lost, None when it was not.
    """

    scenario: Scenario
    judgement: Judgement
    as_expected: bool
    why: dict[Finding, Expectation]
    seconds: float
    loss: Loss | None = None
    evidence: Evidence = field(default_factory=lambda: Evidence(NOTHING), repr=False, compare=False)


FAULTS = "fault/"


def hint(name: str, names: Sequence[str]) -> str:
    """What somebody may have meant who named no scenario."""
    near = difflib.get_close_matches(name, names, n=3)
    return f"did you mean {', '.join(near)}?" if near else "'freeonce list' shows them all"


def select(
    scenarios: Sequence[Scenario], patterns: Sequence[str], faults: bool = True
) -> tuple[Scenario, ...]:
    """The scenarios that match any pattern (fnmatch), in the guest's order.

    Without a pattern all but those that lose the guest, and the planted faults only with
    `faults`. What is named runs whatever it is.


    Raises UsageError for a pattern that matches none.
    """
    names = [scenario.name for scenario in scenarios]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise UsageError(f"no scenario matches {pattern!r}; {hint(pattern, names)}")
    return tuple(
        scenario
        for scenario in scenarios
        if any(fnmatch.fnmatch(scenario.name, pattern) for pattern in patterns)
        or (
            not patterns
            and scenario.ends is None
            and (faults or not scenario.name.startswith(FAULTS))
        )
    )


def weigh(host_bytes: bytes, first: int, dropped: int) -> tuple[Records, tuple[str, ...]]:
    """The records of a run in the bytes that the host read, and what is wrong with those."""
    parsed = parse_records(host_bytes, first)
    doubts = []
    if dropped:
        doubts.append(f"the ledger is full: {dropped} records were dropped")
    if parsed.torn:
        doubts.append(f"{parsed.torn} records of the ledger were never finished")
    if parsed.damaged:
        doubts.append(f"{parsed.damaged} records of the ledger are damaged")
    # What the run before left may be given back only now, when nobody settled it.
    begins = np.flatnonzero(parsed.records["type"] == Type.BEGIN)
    start = int(begins[0]) if len(begins) else 0
    if np.any(~np.isin(parsed.records["type"][:start], [Type.RECLAIM, Type.RELEASE, Type.SETTLED])):
        doubts.append("something happened before the begin of this run")
    return parsed.records[start:], tuple(doubts)


def of_another(records: Records, scenario: Scenario) -> tuple[str, ...]:
    """Why the records are not of this scenario; nothing when they are."""
    if not len(records):
        return ()
    said = text_of(records[0]), int(records[0]["serial"])
    wanted = scenario.name.encode()[:TEXT_BYTES].decode("utf-8", "replace"), scenario.index
    return () if said == wanted else (f"the ledger is of another scenario: {said[0]}",)


def look(guest: Guest, before: Header) -> tuple[bytes, Memory | None]:
    """The ledger and the memory it speaks of, while the guest stands still."""
    with guest.monitor.paused():
        _, data = guest.window(before.count)
        records, _ = weigh(data, before.count, 0)
        extents, gvas = memory.wanted(rules.take_apart(records))
        try:
            return data, Memory(guest.look(extents), guest.translate(gvas))
        except EvidenceError:
            return data, None


def collect(guest: Guest, before: Header) -> tuple[Evidence, bool]:
    """All evidence of the run since `before`, and whether the guest is fit for another.

    The run is settled by this.

    Raises EvidenceError when the window holds no ledger, GuestLost when QEMU is gone.
    """
    early, looked = look(guest, before)
    told: bytes | None = None
    lost: tuple[str, ...] = ()
    loss = None
    try:
        guest.settle()
        told = guest.tell(before.count)
    except CommandFailed as error:
        lost = (str(error),)
    except GuestLost as error:
        lost, loss = (lost_words(error),), error.loss
    header, data = guest.window(before.count)
    records, doubts = weigh(data, before.count, header.dropped - before.dropped)
    if not data.startswith(early):
        doubts += ("the ledger was rewritten after the run",)
    account = Account.MISSING
    if told is not None:
        account = Account.AGREE if told == data else Account.DISAGREE
    evidence = Evidence(records, looked, (*doubts, *lost), account, loss)
    if lost or not cpu_state.asks_for_unload(rules.take_apart(records)):
        return evidence, not lost
    return _unloaded(guest, before, data, evidence), False


def _unloaded(guest: Guest, before: Header, data: bytes, evidence: Evidence) -> Evidence:
    """The same with the ledger as the module's unload left it."""
    try:
        guest.unload_module()
    except CommandFailed as error:
        return replace(evidence, doubts=(*evidence.doubts, str(error)))
    except GuestLost as error:
        return replace(evidence, doubts=(*evidence.doubts, lost_words(error)), loss=error.loss)
    header, whole = guest.window(0)
    parsed = parse_records(whole, 0)
    doubts = evidence.doubts
    rewritten = not whole[before.count * RECORD_BYTES :].startswith(data)
    if rewritten or header.dropped or parsed.torn or parsed.damaged:
        doubts += ("the ledger did not survive the unload",)
    return replace(evidence, doubts=doubts, unloaded=parsed.records)


def _lost(guest: Guest, before: Header, error: GuestLost) -> Evidence:
    """What can still be read of a run whose guest was lost in it."""
    reason = lost_words(error)
    try:
        data, looked = look(guest, before)
        records, doubts = weigh(data, before.count, 0)
    except (GuestLost, EvidenceError) as second:
        doubts = (reason, f"its ledger cannot be read: {second}")
        return Evidence(NOTHING, doubts=doubts, loss=error.loss)
    return Evidence(records, looked, (reason, *doubts), loss=error.loss)


def lost_words(error: GuestLost) -> str:
    """How a guest was lost, with the last lines of its console."""
    console = f"; the console's last lines:\n{error.console}" if error.console else ""
    return f"the guest was lost ({error.loss}): {error}{console}"


def conclude(
    scenario: Scenario, evidence: Evidence, seconds: float, features: frozenset[str] = frozenset()
) -> Result:
    """The result of a scenario from its evidence. `features`: what the machine promised."""
    doubts = (*evidence.doubts, *of_another(evidence.records, scenario))
    judgement = judge(
        evidence.records, evidence.memory, doubts, evidence.account, evidence.unloaded
    )
    why, matches = match(judgement.findings, scenario.expected)
    as_expected = {
        Verdict.CLEAN: matches,
        Verdict.FAULTY: matches,
        # It said beforehand that a CPU may lack this, and this machine did not promise it.
        Verdict.UNSUPPORTED: scenario.needs is not None and scenario.needs not in features,
        Verdict.INCOMPLETE: scenario.ends is not None and scenario.ends == evidence.loss,
    }[judgement.verdict]
    if scenario.ends is not None and evidence.loss is None:
        as_expected = False
    return Result(scenario, judgement, as_expected, why, seconds, evidence.loss, evidence)


@dataclass(frozen=True)
class Options:
    """How a scenario is run. `command`: words for the guest's `run` file, as `fail=2`.

    `seconds`: how long it may take. `repeat`: how often it is run. `faults`: whether the
    planted faults run, by themselves or beside what is named.
    """

    command: str = ""
    seconds: float = COMMAND_SECONDS
    repeat: int = 1
    faults: bool = True


PLAIN = Options()


@dataclass(frozen=True)
class Task:
    """One run of a scenario."""

    scenario: Scenario
    options: Options


class Crew(Protocol):
    """Has guests, and runs scenarios in them."""

    def scenarios(self) -> Scenarios:
        """All that there are, in the guest's order."""

    def run(self, tasks: Iterable[Task], starting: Starting) -> Iterator[Result]:
        """The results in the order of the tasks. A lost guest costs only its own scenario."""


def run_one(guest: Guest, scenario: Scenario, options: Options = PLAIN) -> tuple[Result, bool]:
    """Run one scenario. Its result, and whether the guest is fit for another."""
    start = time.monotonic()
    evidence, fit = _run(guest, scenario, options)
    seconds = time.monotonic() - start
    return conclude(scenario, evidence, seconds, guest.config.features), fit


def _run(guest: Guest, scenario: Scenario, options: Options) -> tuple[Evidence, bool]:
    try:
        before = guest.header()
        if before.count > before.capacity // 2:
            guest.rewind()
            before = guest.header()
        try:
            guest.run(f"{scenario.name} {options.command}".strip(), options.seconds)
            return collect(guest, before)
        except CommandFailed as error:
            # It said no, and nothing began; or it was killed in the middle.
            fit = guest.header().count == before.count
            return Evidence(NOTHING, doubts=(str(error),)), fit
        except GuestLost as error:
            return _lost(guest, before, error), False
    except EvidenceError as error:
        return Evidence(NOTHING, doubts=(str(error),), loss=Loss.LEDGER), False
    except CommandFailed as error:
        return Evidence(NOTHING, doubts=(str(error),)), False
    except GuestLost as error:
        return Evidence(NOTHING, doubts=(lost_words(error),), loss=error.loss), False


def planted_beside(
    scenarios: Sequence[Scenario], chosen: Sequence[Scenario], options: Options
) -> tuple[Scenario, ...]:
    """The planted faults that run beside what was chosen: a detector can rot unnoticed."""
    if not options.faults:
        return ()
    names = {scenario.name for scenario in chosen}
    return tuple(one for one in scenarios if one.name.startswith(FAULTS) and one.name not in names)


def run_all(
    crew: Crew,
    patterns: Sequence[str],
    options: Options = PLAIN,
    *,
    chosen: Callable[[Scenarios, Scenarios], None] = lambda _, __: None,
    starting: Starting = lambda _: None,
) -> Iterator[Result]:
    """The results one by one, in the guest's order, whoever runs them.

    With patterns the planted faults run after what is named, unless `options.faults` is
    off. `chosen` is told which scenarios will run and which planted faults beside them,
    `starting` which one does now. Raises UsageError for a pattern that matches none,
    GuestLost or HostError when not even the first guest can be had.
    """
    everything = crew.scenarios()
    scenarios = select(everything, patterns, options.faults)
    beside = planted_beside(everything, scenarios, options) if patterns else ()
    chosen(scenarios, beside)
    tasks = [Task(scenario, options) for scenario in scenarios for _ in range(options.repeat)]
    tasks += [Task(scenario, options) for scenario in beside]
    yield from crew.run(tasks, starting)


def exit_status(results: Sequence[Result]) -> int:
    """0: every verdict as expected; 4: some incomplete that is not; 1: some other not."""
    wrong = [result.judgement.verdict for result in results if not result.as_expected]
    if Verdict.INCOMPLETE in wrong:
        return 4
    return 1 if wrong else 0
