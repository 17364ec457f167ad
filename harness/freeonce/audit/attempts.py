"""The acquisitions of a run that can be made to fail, and those that are to be. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from freeonce.audit.life import Stage
from freeonce.evidence.ledger import Phase, Records, Type, Witness
from freeonce.evidence.stacks import told

STAGES = (Stage.LOAD, Stage.EXERCISE, Stage.UNLOAD)
"""Of a life, in which something may be acquired."""


@dataclass(frozen=True)
class Where:
    """A failure point: the number of an acquisition, and whether everything after it fails too."""

    number: int
    after: bool = False

    def __str__(self) -> str:
        return f"{self.number}{'+' if self.after else ''}"


@dataclass(frozen=True)
class Each:
    """Which points are wanted. `stage`: of a life, None for all of it.

    `alone`, `after`: with only that acquisition failing; with all after it failing too.
    `limit`: at most so many acquisitions of one stack. `only`: this point and no other.
    """

    stage: Stage | None = None
    alone: bool = True
    after: bool = False
    limit: int | None = None
    only: Where | None = None


@dataclass(frozen=True)
class Attempt:
    """An acquisition of a run without failures. `number`: N of `fail=N`.

    `stage`: of a life, None in a scenario. `stack`: return addresses, innermost first; where it was
    not told, its number alone. `site`: that number.
    """

    number: int
    stage: Stage | None
    stack: tuple[int, ...]
    site: int


@dataclass(frozen=True)
class Sampled:
    """Acquisitions of one stack that were too many: `led` of `made` were made to fail."""

    site: int
    made: int
    led: int


def attempts(records: Records, unloading: int | None = None) -> tuple[Attempt, ...]:
    """The acquisitions that a run with `count` told, by number. What comes twice counts once.

    `unloading`: of a life, the sequence behind which its unload is; None when it had none. (A
    module's exit function is over when the kernel says that the module goes.)
    """
    stacks = told(records).stacks
    when = _Stages(records, unloading)
    found: dict[int, Attempt] = {}
    for record in records[records["type"] == Type.ATTEMPT]:
        number, site = int(record["serial"]), int(record["site"])
        stack = stacks[site].frames if site in stacks else (site,)
        found.setdefault(number, Attempt(number, when(int(record["sequence"])), stack, site))
    return tuple(found[number] for number in sorted(found) if number)


def all_told(found: Sequence[Attempt], records: Records) -> bool:
    """Whether the numbers have no gap, and some are there where something was acquired."""
    numbers = [one.number for one in found]
    acquired = (records["type"] == Type.ALLOCATE) & (records["witness"] == Witness.LEDGER)
    return numbers == list(range(1, len(numbers) + 1)) and (bool(numbers) or not acquired.any())


class _Stages:
    """The stage of a life that a record is of, by its sequence; None of a scenario."""

    def __init__(self, records: Records, unloading: int | None) -> None:
        phases = records[records["type"] == Type.PHASE]
        live = phases["sequence"][phases["detail"] == Phase.LIVE]
        self._is_life = len(phases) > 0
        self._loaded = int(live.max()) if len(live) else None
        self._unloading = unloading

    def __call__(self, sequence: int) -> Stage | None:
        if not self._is_life:
            return None
        if self._loaded is None or sequence < self._loaded:
            return Stage.LOAD
        if self._unloading is not None and sequence > self._unloading:
            return Stage.UNLOAD
        return Stage.EXERCISE


def wanted(found: Sequence[Attempt], each: Each) -> tuple[list[Where], tuple[Sampled, ...]]:
    """The points to lead, in order, and of which stacks only a sample is.

    A sample is spread evenly over what was made, the first and the last in it.
    """
    if each.only is not None:
        return [each.only], ()
    chosen = [one for one in found if each.stage in (None, one.stage)]
    by_stack: dict[tuple[int, ...], list[Attempt]] = {}
    for one in chosen:
        by_stack.setdefault(one.stack, []).append(one)
    kept: list[int] = []
    sampled: list[Sampled] = []
    for alike in by_stack.values():
        some = list(_spread([one.number for one in alike], each.limit))
        kept += some
        if len(some) < len(alike):
            sampled.append(Sampled(alike[0].site, len(alike), len(some)))
    ways = [after for after, asked in ((False, each.alone), (True, each.after)) if asked]
    return [Where(number, after) for number in sorted(kept) for after in ways], tuple(sampled)


def _spread(numbers: Sequence[int], most: int | None) -> Iterator[int]:
    if most is None or len(numbers) <= most:
        yield from numbers
    elif most == 1:
        yield numbers[0]
    else:
        yield from (numbers[i * (len(numbers) - 1) // (most - 1)] for i in range(most))
