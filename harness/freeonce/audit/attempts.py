"""The acquisitions of a run that can be made to fail, and those that are to be. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from freeonce.audit.life import Bounds, Stage
from freeonce.evidence.ledger import Records, Type, Witness
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

    @property
    def options(self) -> str:
        """As a run's begin has it."""
        return f"fail={self}"


@dataclass(frozen=True)
class Each:
    """Which points are wanted. `stage`: of a life, None for all of it.

    `alone`, `after`: with only that acquisition failing; with all after it failing too.
    `limit`: at most so many acquisitions of one stack. `only`: this point and no other. `cpus`:
    of guests in which a life has a failure.
    """

    stage: Stage | None = None
    alone: bool = True
    after: bool = False
    limit: int | None = None
    only: Where | None = None
    cpus: int = 1


def each_of(text: str) -> Each:
    """As it is written: a stage, or `all`; with + in front also with everything after it failing.

    Raises ValueError with what would be right.
    """
    after, stage = text.startswith("+"), text.removeprefix("+")
    if stage not in ("", "all", *STAGES):
        raise ValueError(f"one of all, {', '.join(STAGES)}, or one of these behind a +")
    return Each(Stage(stage) if stage in STAGES else None, after=after)


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


def attempts(records: Records, bounds: Bounds | None = None) -> tuple[Attempt, ...]:
    """The acquisitions that a run with `count` told, by number. What comes twice counts once.

    `bounds`: of a life, between its stages; None of a scenario.
    """
    stacks = told(records).stacks
    found: dict[int, Attempt] = {}
    for record in records[records["type"] == Type.ATTEMPT]:
        number, site = int(record["serial"]), int(record["site"])
        stack = stacks[site].frames if site in stacks else (site,)
        stage = bounds.stage(int(record["sequence"])) if bounds else None
        found.setdefault(number, Attempt(number, stage, stack, site))
    return tuple(found[number] for number in sorted(found) if number)


def all_told(found: Sequence[Attempt], records: Records) -> bool:
    """Whether the numbers have no gap, and some are there where something was acquired."""
    numbers = [one.number for one in found]
    acquired = (records["type"] == Type.ALLOCATE) & (records["witness"] == Witness.LEDGER)
    return numbers == list(range(1, len(numbers) + 1)) and (bool(numbers) or not acquired.any())


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
