"""A changed history judged as the harness judges a run, and which of all changes deceive it."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from freeonce.audit.audit import judge
from freeonce.audit.model import Account, Asked, Judgement, Verdict
from freeonce.evidence.ledger import Records, Type, text_of
from freeonce.run.hear import weigh
from tests.deception.changes import Change, apply, changes
from tests.deception.conceded import conceded
from tests.deception.saved import Planted
from tests.deception.world import world


@dataclass(frozen=True)
class Lie:
    """A change that made a planted fault clean. `conceded`: by which name; None: a fault of ours.

    `record`: the type of the changed record, and whose it is.
    """

    planted: Planted
    change: Change
    record: str
    conceded: str | None


def judged(planted: Planted, records: Records) -> Judgement:
    """The judgement on these records of the run, which both readings of the ledger show."""
    first = int(planted.records["sequence"][0]) - 1
    heard, doubts = weigh(records.tobytes(), first, 0)
    doubts += _of_another(heard, planted.records)
    return judge(
        heard,
        world(planted.memory),
        doubts,
        Account.AGREE,
        _unloaded(planted, records),
        asked=Asked(planted.cpus),
    )


def _of_another(heard: Records, true: Records) -> tuple[str, ...]:
    """A doubt when the run is of another scenario than was asked for."""
    said, wanted = (
        (text_of(records[0]), int(records[0]["serial"])) if len(records) else None
        for records in (heard, true)
    )
    return () if said == wanted else ("the ledger is of another scenario",)


def _unloaded(planted: Planted, records: Records) -> Records | None:
    """The ledger after the unload, in which this run was told so."""
    whole = planted.unloaded
    if whole is None:
        return None
    first, last = (int(planted.records["sequence"][at]) for at in (0, -1))
    after = whole[whole["sequence"] > last].copy()
    end = first + len(records)
    after["sequence"] = np.arange(end, end + len(after))
    return np.concatenate([whole[whole["sequence"] < first], records, after])


def told(record: np.void) -> str:
    """Whose record it is and of which type, as `kernel release`."""
    who = "kernel" if record["witness"] == 2 else "owner"
    return f"{who} {Type(int(record['type'])).name.lower()}"


def deceived(
    planted: Planted, chosen: Callable[[Change], bool] = lambda _: True
) -> Iterator[Lie | None]:
    """For each chosen change of a run: None when its verdict is not clean."""
    for change in changes(planted.records):
        if chosen(change):
            yield tried(planted, change)


def tried(planted: Planted, change: Change) -> Lie | None:
    """None when the verdict is not clean by this change."""
    if judged(planted, apply(planted.records, change)).verdict is not Verdict.CLEAN:
        return None
    record = told(planted.records[change.index])
    return Lie(planted, change, record, conceded(planted.rule, record, change))


def table(lies: list[Lie]) -> Iterator[str]:
    """A line for each kind of lie, with how often it was believed."""
    kinds = Counter(map(_kind, lies))
    for (name, *words), count in sorted(kinds.items()):
        yield f"{name:30} {count:6}  {', '.join(filter(None, words))}"


def _kind(lie: Lie) -> tuple[str, ...]:
    name = lie.conceded or "NOT CONCEDED"
    return name, lie.planted.rule, lie.record, lie.change.what, lie.change.field
