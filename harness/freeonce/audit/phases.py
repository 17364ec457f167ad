"""What a life must have come through, and that nothing was lost sight of. Pure."""

from collections.abc import Iterator

import numpy as np

from freeonce.audit.families import of_subjects
from freeonce.audit.life import Reason
from freeonce.audit.model import Asked
from freeonce.audit.run import Run
from freeonce.errors import Obstacle
from freeonce.evidence.ledger import (
    Blind,
    Broken,
    Flag,
    Phase,
    Quiesced,
    Records,
    Type,
    among,
    text_of,
    within,
)
from freeonce.evidence.stacks import told

BLIND = {
    Blind.BOOKS: "the instrument's books were full",
    Blind.STACKS: "the instrument had no room for another stack",
    Blind.RELEASE: "the instrument could not follow a release",
    Blind.ROOM: "the host did not take records in time, and the ledger had no room",
    Blind.HOOKS: "the instrument could not follow what a hypervisor gave the CPU",
    Blind.CPUS: "it asked for another CPU, and declares that it needs one",
    Blind.REST: "the kernel did not come to rest when a scenario was over",
}
AWAITED = {
    Quiesced.RCU: "RCU callbacks",
    Quiesced.WORK: "work queues",
    Quiesced.DEFERRED: "deferred releases",
}
ORDER = (Phase.COMING, Phase.LIVE, Phase.GOING, Phase.GONE)
MOST_LOADS = 1000
"""Named in reasons; whoever loads more is not told of each."""


def is_life(asked: Asked) -> bool:
    """Whether the run is the life of foreign modules."""
    return bool(asked.flags & Flag.LIFE)


def reasons(run: Run, asked: Asked) -> Iterator[str]:
    """What of a run is not known."""
    yield from _lost_sight(run)
    if not run.over:
        return
    yield from _live_at_end(run)
    if is_life(asked):
        yield from _rest(run)
        yield from _loads(run.records)


def without_room(records: Records) -> Iterator[Reason]:
    """Whether the guest waited in vain for the host to take records, and then went on."""
    if np.any((records["type"] == Type.BLIND) & (records["detail"] == Blind.ROOM)):
        yield Reason(Obstacle.NOT_DRAINED, BLIND[Blind.ROOM])


def all_gone(run: Run) -> bool:
    """Whether every subject that was loaded is gone: then what is live has nobody any more."""
    phases = run.records[run.records["type"] == Type.PHASE]
    gone = phases["serial"][phases["detail"] == Phase.GONE]
    return bool(np.all(within(_numbers(run.records), gone)))


def left_nothing(run: Run) -> bool:
    """Whether no memory was found broken, and nothing lost sight of."""
    return not np.any(among(run.records["type"], (Type.BROKEN, Type.BLIND)))


def untouched(run: Run) -> bool:
    """Whether a life left nothing behind, so that another may follow it in the same guest.

    The kernel came to rest, all that was acquired was released, by releases that the kernel
    heard of, no memory was found broken, nothing was lost sight of, and every module is gone.
    """
    records = run.records
    rest = records[records["type"] == Type.QUIESCED]
    waited = Quiesced.RCU | Quiesced.WORK | Quiesced.DEFERRED
    if len(rest) != 1 or int(rest[0]["detail"]) & waited != waited or int(rest[0]["size"]):
        return False
    if not left_nothing(run) or np.any(run.releases["flags"] & Flag.WITHHELD):
        return False
    phases = records[records["type"] == Type.PHASE]
    gone = phases["serial"][phases["detail"] == Phase.GONE]
    return len(phases) > 0 and bool(np.all(within(phases["serial"], gone)))


HUNG = {
    Phase.COMING: "the init function of {name} does not return",
    Phase.LIVE: "what is done to {name} does not end",
    Phase.GOING: "{name} does not unload",
}


def hung_in(records: Records) -> str:
    """What a life that did not end in time was at; empty where no module was under way."""
    phases = records[records["type"] == Type.PHASE]
    if not len(phases) or int(phases[-1]["detail"]) not in HUNG:
        return ""
    name = told(records).names.get(int(phases[-1]["serial"]), "a module")
    return HUNG[Phase(int(phases[-1]["detail"]))].format(name=name)


def _lost_sight(run: Run) -> Iterator[str]:
    records = run.records
    told = records["detail"][records["type"] == Type.BLIND]
    for why, times in zip(*np.unique(told, return_counts=True), strict=True) if len(told) else ():
        known = int(why) in set(Blind)
        text = BLIND[Blind(int(why))] if known else "the instrument lost sight of something"
        yield f"{text} ({times} times)"
    broken = records[records["type"] == Type.BROKEN]
    made = run.allocates["serial"]
    known_where = within(broken["detail"], [int(where) for where in Broken])
    if not np.all(within(broken["serial"], made) & known_where):
        yield "memory was found broken that is not in the ledger"


def _rest(run: Run) -> Iterator[str]:
    """Whether the kernel came to rest before the end, and the ledger is what the books were."""
    told = run.records[run.records["type"] == Type.QUIESCED]
    if len(told) != 1 or np.any(
        run.records["sequence"][run.records["type"] == Type.END] < told[0]["sequence"]
    ):
        yield "the kernel did not come to rest before the end"
        return
    deferred = bool(np.any(run.releases["flags"] & Flag.DEFERRED))
    for bit, name in AWAITED.items():
        if not int(told[0]["detail"]) & bit and (bit is not Quiesced.DEFERRED or deferred):
            yield f"{name} were not waited for to the end"
    live = _live_at(run, int(told[0]["sequence"]))
    if live != int(told[0]["size"]):
        books = int(told[0]["size"])
        yield f"{books} allocations were live by the instrument's books, {live} by the ledger"


def _live_at_end(run: Run) -> Iterator[str]:
    """Whether the ledger has at the end what the books had: nothing of either was left out."""
    end = run.records[run.records["type"] == Type.END][0]
    books, ledger = int(end["size"]), _live_at(run, int(end["sequence"]))
    if ledger != books:
        yield f"{books} allocations were live at the end by the books, {ledger} by the ledger"


def _live_at(run: Run, sequence: int) -> int:
    """How many allocations of subjects were live before that record."""
    mine = of_subjects(run.allocates["kind"]) & (run.allocates["sequence"] < sequence)
    return int(np.count_nonzero(mine & ~run.freed_before(sequence)))


def _numbers(records: Records) -> list[int]:
    """The loads that the records speak of."""
    mine = among(records["type"], (Type.SUBJECT, Type.PHASE))
    numbers: list[int] = np.unique(records["serial"][mine]).tolist()
    return numbers


def _loads(records: Records) -> Iterator[str]:
    """Each load came, went live or failed to, and is gone."""
    numbers = _numbers(records)
    if not numbers:
        yield "no module was loaded"
    by_load: dict[int, list[int]] = {number: [] for number in numbers}
    names: dict[int, str] = {}
    for record in records[among(records["type"], (Type.SUBJECT, Type.PHASE))]:
        number = int(record["serial"])
        if record["type"] == Type.PHASE:
            by_load[number].append(int(record["detail"]))
        else:
            names[number] = names.get(number, "") + text_of(record)
    for number in numbers[:MOST_LOADS]:
        wrong = _wrong(by_load[number])
        if wrong:
            yield f"{names.get(number) or f'module {number}'} {wrong}"


def _wrong(phases: list[int]) -> str:
    """Why a load did not go through its phases as it should; nothing when it did."""
    if Phase.GONE not in phases:
        return "is still loaded, and may still release what it holds"
    if Phase.LIVE not in phases and Phase.INIT_FAILED not in phases:
        return "never went live, and its init function is not known to have failed"
    in_order = [phase for phase in phases if phase in ORDER]
    # The kernel calls its init function once: it succeeds, or fails.
    once = phases.count(Phase.LIVE) + phases.count(Phase.INIT_FAILED) == 1
    whole = once and in_order == sorted(set(in_order))
    return "" if whole and set(phases) <= set(Phase) else "went through its phases out of order"
