"""Many lives of the same modules, led in one guest as long as each leaves nothing behind.

The guest takes all steps of a life by one request of the control line. After each the host looks
at ledger and memory, as after any run; what the guest says of its ledger is heard once for all
lives of a batch. Whatever was left behind, a warning of the kernel, or a loss: a new clone.
"""

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from freeonce.audit.attempts import Where
from freeonce.audit.model import Account
from freeonce.audit.phases import untouched
from freeonce.audit.result import NOTHING, Evidence
from freeonce.errors import (
    CommandFailed,
    EvidenceError,
    GuestLost,
    Loss,
    SubjectError,
)
from freeonce.evidence.ledger import RECORD_BYTES, Header
from freeonce.evidence.text import one_line
from freeonce.guest import Guest
from freeonce.guest.files import GuestFile, send
from freeonce.guest.reading import Readable
from freeonce.run.exercise import FOLDER
from freeonce.run.hear import LIFE, Early, asked_of, at_a_glance, glance, look, salvage, whole
from freeonce.run.life import Plan, prepare_guest
from freeonce.run.supply import Share, Supply

STEPS = "/tmp/steps"
BATCH = 256
"""Lives of which the guest is heard at once. Of one that is lost, all before it are led again."""
TRIES = 3
"""Guests in a row that could not be had, or led no life, until there is no point in going on."""

# Most of a life's time is the kernel waiting for readers. It may ask them to be quick.
EAGER = """
echo 1 >/sys/kernel/rcu_expedited
cd /sys/module/rcutree/parameters && echo 0 >jiffies_till_first_fqs && echo 1 >jiffies_till_next_fqs
"""
WARNED = "dmesg | grep -m 1 -E 'WARNING: |BUG: |Bad page|machine check' | cut -c 1-200"

Boot = Callable[[], AbstractContextManager[Guest]]


class Turn(Protocol):
    """What tells a life from those led before and after it."""

    @property
    def options(self) -> str:
        """Of its begin (guest/LEDGER.md, "Control line")."""


T = TypeVar("T", bound=Turn)


@dataclass(frozen=True)
class Led(Generic[T]):
    """One of many lives, such as one in which an acquisition failed.

    `said`: what the kernel warned of.
    """

    where: T
    evidence: Evidence
    said: str = ""


def steps(plan: Plan) -> bytes:
    """A life as the guest takes it (guest/LEDGER.md, "Control line")."""
    path = f"export PATH={FOLDER}:$PATH"
    lines = [f"load {one.path} {_joined(one.parameters)}" for one in plan.subjects]
    lines += [f"exercise {path}\n{one.command}" for one in plan.exercises]
    lines += [f"keep {round(plan.keep * 1000)}"] if plan.keep else []
    lines += [f"unload {one.name}" for one in reversed(plan.subjects)]
    return b"".join(line.encode() + b"\0" for line in lines)


def _joined(parameters: Sequence[str]) -> str:
    """One string, as the kernel wants it; a value with blanks is quoted as a whole."""
    return " ".join(map(_quoted, parameters))


def _quoted(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    if not equals or not any(blank in parameter for blank in " \t"):
        return parameter
    return f'{name}="{value}"'


def lead_each(
    make: Boot, plan: Plan, points: Supply[Where], seconds: float
) -> Iterator[Led[Where]]:
    """One life of the plan for each point. Otherwise as `lead_turns`."""

    def ready(guest: Guest) -> None:
        make_ready(guest, plan)

    yield from lead_turns(make, ready, lambda _, __: None, points, seconds)


def lead_turns(
    make: Boot,
    ready: Callable[[Guest], None],
    before: Callable[[Guest, T], None],
    turns: Supply[T],
    seconds: float,
) -> Iterator[Led[T]]:
    """One life for each turn. `make`: a clone that waits; `seconds`: that a life may take.

    `ready`: prepares a new guest, `before` one for the life that comes; it raises CommandFailed
    where that cannot be led. A life that no guest survives, nor the look at it, is told without
    evidence. Raises FreeonceError when no guest can be had or prepared; what was not led is given
    back then. One guest at a time: several may be led at once from one supply, each by its own
    call.
    """
    with turns.share() as mine:
        yield from _lead_share(make, ready, before, mine, seconds)


def _lead_share(
    make: Boot,
    ready: Callable[[Guest], None],
    before: Callable[[Guest, T], None],
    mine: Share[T],
    seconds: float,
) -> Iterator[Led[T]]:
    size, tries = 1, 0
    while mine.has(size):
        is_ready, fit = False, True
        try:
            with make() as guest:
                ready(guest)
                is_ready = True
                while fit and mine.has(size):
                    done, fit = _batch(guest, mine.turns, seconds, before)
                    tries, size = 0, min(2 * size, BATCH) if fit else 1
                    mine.led({one.where for one in done})
                    mine.keep(0)
                    yield from done
        except (GuestLost, CommandFailed, EvidenceError, SubjectError) as error:
            # Which of them it was nobody knows: the first alone is to fail before it is blamed.
            mine.keep(1)
            tries, size = tries + 1, 1
            if tries < TRIES:
                continue
            if not is_ready:
                raise
            tries = 0
            loss = error.loss if isinstance(error, GuestLost) else Loss.CONTROL
            blamed = mine.turns
            mine.led(blamed)
            yield from (
                Led(one, Evidence(NOTHING, doubts=(str(error),), loss=loss)) for one in blamed
            )


def make_ready(guest: Guest, plan: Plan) -> None:
    """All that a life of the plan needs, so that `lead` leads it."""
    prepare_guest(guest, plan)
    send(guest, [GuestFile(STEPS, steps(plan))])
    guest.command(EAGER)


@dataclass(frozen=True)
class _Seen(Generic[T]):
    """A life that is over. `before`: the header when it began; `doubt`: why it proves nothing."""

    where: T
    before: Header
    early: Early
    doubt: str


def _batch(
    guest: Guest, turns: Sequence[T], seconds: float, prepare: Callable[[Guest, T], None]
) -> tuple[list[Led[T]], bool]:
    """Lives whose evidence is whole, and whether the guest is fit for more.

    When it is lost in one, that one alone: of those before it the guest can tell no more.
    """
    with at_a_glance(guest) as running:
        return _batch_of(guest, running, turns, seconds, prepare)


def _batch_of(
    guest: Guest,
    running: Readable | None,
    turns: Sequence[T],
    seconds: float,
    prepare: Callable[[Guest, T], None],
) -> tuple[list[Led[T]], bool]:
    start = guest.header()
    if _half_full(start):
        guest.rewind()
        start = guest.header()
    seen: list[_Seen[T]] = []
    before, fit = start, True
    for where in turns:
        try:
            prepare(guest, where)
        except CommandFailed as error:
            if not seen:
                return [Led(where, Evidence(NOTHING, doubts=(str(error),)))], True
            break
        try:
            fit, doubt = _led(guest, where, seconds)
            early = (glance(running, before) if fit else None) or look(guest, before)
        except EvidenceError as error:
            return [Led(where, Evidence(NOTHING, doubts=(str(error),), loss=Loss.LEDGER))], False
        except GuestLost as lost:
            return [Led(where, salvage(guest, before, lost, LIFE))], False
        seen.append(_Seen(where, before, early, doubt))
        before = replace(before, appended=before.count + len(early.data) // RECORD_BYTES)
        fit = fit and untouched(early.run)
        if not fit or _half_full(before):
            break
    said = "" if fit else one_line(guest.command(f"{WARNED}; true").strip())
    return _heard(guest, start, seen, said), fit


def _half_full(header: Header) -> bool:
    return header.count > header.capacity // 2


def _led(guest: Guest, turn: Turn, seconds: float) -> tuple[bool, str]:
    """Lead one life. Whether the guest is fit for another, and why this one proves nothing."""
    try:
        guest.ask(f"lead {turn.options}", seconds)
    except CommandFailed as error:
        # The life came to its end all the same; that a module stays is in the ledger.
        if error.error == errno.EUCLEAN:
            return False, "the kernel warned of something"
        return False, "" if error.error == errno.EBUSY else str(error)
    return True, ""


def _heard(guest: Guest, start: Header, seen: Sequence[_Seen[T]], said: str) -> list[Led[T]]:
    """The evidence of these lives, all of them settled. `said`: in the last of them."""
    guest.settle()
    told = guest.tell(start.count)
    header, data = guest.window(start.count)
    account = Account.AGREE if told == data else Account.DISAGREE
    dropped = header.dropped - start.dropped
    ends = [_begin(one) for one in seen[1:]] + [header.count]
    led = []
    for one, end in zip(seen, ends, strict=True):
        first = one.before.count
        mine = data[(first - start.count) * RECORD_BYTES : (end - start.count) * RECORD_BYTES]
        evidence = whole(one.early, mine, first, dropped)
        run = evidence.run
        led.append(
            Led(
                one.where,
                replace(
                    evidence,
                    doubts=(*evidence.doubts, *filter(None, (one.doubt,))),
                    account=account,
                    asked=asked_of(guest, LIFE),
                    apart=run,
                ),
                said if one is seen[-1] else "",
            )
        )
    return led


def _begin(one: _Seen[T]) -> int:
    """The index of its first record: what stands before it settled the life before."""
    return one.before.count + len(one.early.data) // RECORD_BYTES - len(one.early.records)
