"""A census: the life of every module of the guest's kernel package, each kept as it comes.

Two tasks a module: its life, and that life with each acquisition of its load made to fail.
"""

import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from freeonce.audit.attempts import Each
from freeonce.audit.life import Life, Stage
from freeonce.audit.model import Verdict
from freeonce.audit.points import Points
from freeonce.campaign.outcome import Outcome
from freeonce.campaign.task import CENSUS, Task
from freeonce.errors import GuestLost, Loss, Obstacle, SubjectError
from freeonce.machine.folder import kept_folder
from freeonce.machine.template import Template
from freeonce.project.setting import Setting
from freeonce.report.census import Came, module
from freeonce.report.life import life_document, places_of, tell
from freeonce.run.audit import NO_GUEST, audit_each, traces_of_life, unborn
from freeonce.run.crew import NO_GUEST as NO_NEW_GUEST
from freeonce.run.hear import lost_words
from freeonce.run.prepare import Prepared, Wish, prepare
from freeonce.run.together import lives_of
from freeonce.subject.places import Frame

CHUNK = 64
"""Modules that are prepared at a time."""


def lived(document: Mapping[str, Any]) -> bool:
    """Whether a life came through, clean, and acquired something that may fail."""
    return document["verdict"] == Verdict.CLEAN and bool(document["acquired"])


_HOSTS = {Loss.QEMU, Loss.SSH}
"""A guest that is lost in such a way was not lost by what ran in it."""
_UNMADE = NO_GUEST, NO_NEW_GUEST


def by_host(document: Mapping[str, Any]) -> bool:
    """Whether what came of a life tells only what the host lacked: no result, nothing to keep."""
    points = (document.get("failures") or {}).get("points", ())
    unborn = document.get("phase") == Stage.BOOT and document["reasons"]
    return bool(unborn) or any(
        one["loss"] in _HOSTS or any(said.startswith(_UNMADE) for said in one["reasons"])
        for one in ({"loss": document["loss"], "reasons": ()}, *points)
    )


def lead(
    setting: Setting, source: Template, chosen: Sequence[Task]
) -> Iterator[tuple[Task, Outcome]]:
    """Each task's outcome, in whatever order. Raises HostError, GuestLost without a guest."""
    for start in range(0, len(chosen), CHUNK):
        yield from _chunk(setting, source, chosen[start : start + CHUNK])


def _chunk(
    setting: Setting, source: Template, chosen: Sequence[Task]
) -> Iterator[tuple[Task, Outcome]]:
    plain: dict[str, Task] = {}
    many: list[Prepared] = []
    with ExitStack() as stack:
        scratch = stack.enter_context(kept_folder(Path(gettempdir())))
        for task in chosen:
            try:
                prepared = prepare(Wish(targets=(task.name,)), setting.image, scratch)
            except SubjectError as error:
                yield task, _outcome(unborn([task.name], Stage.READ, error.reason, str(error)))
                continue
            if task.body["kind"] == CENSUS:
                plain[task.name] = task
                many.append(prepared)
            else:
                yield task, _failures(setting, source, prepared, task)
        for prepared, life in lives_of(setting, source, many):
            yield plain[prepared.targets[0].name], _outcome(life, prepared)


def _failures(setting: Setting, source: Template, prepared: Prepared, task: Task) -> Outcome:
    limit = task.body["limit"]
    assert isinstance(limit, int)
    each = Each(stage=Stage.LOAD, limit=limit)
    start = time.monotonic()
    try:
        found = audit_each(setting, source, prepared, each, lambda *_: None)
    except GuestLost as lost:
        words = lost_words(lost)
        life = unborn([task.name], Stage.BOOT, Obstacle.GUEST_LOST, words, prepared)
        return _outcome(life, prepared)
    frames = traces_of_life(found.life, prepared.sources, _quiet) | found.stacks.traces()
    seconds = time.monotonic() - start
    return _outcome(found.life, prepared, found.points, frames, seconds)


def _outcome(
    life: Life,
    prepared: Prepared | None = None,
    points: Points | None = None,
    frames: dict[int, tuple[Frame, ...]] | None = None,
    seconds: float | None = None,
) -> Outcome:
    if frames is None:
        frames = traces_of_life(life, prepared.sources, _quiet) if prepared else {}
    told = tell(life, frames, points=points)
    document = life_document(told, places_of(frames))
    unaudited = [one for target in life.targets for one in target.unaudited]
    document["not_audited"] = {
        "calls": sum(one.calls for one in unaudited),
        "functions": sorted({one.function for one in unaudited}),
    }
    result = life.result
    return Outcome(
        verdict=str(result.judgement.verdict),
        as_expected=_as_expected(document),
        seconds=result.seconds if seconds is None else seconds,
        worker=f"{socket.gethostname()}:{os.getpid()}",
        document=document,
        by_host=by_host(document),
    )


def _as_expected(document: Mapping[str, Any]) -> bool:
    """Whether nothing was found, nor left unseen. That a module does not load is no news: then
    nothing of it can fail, either.
    """
    plain = module(document)
    failing = "failures" in document and plain.came is Came.CLEAN
    one = module(document, document, asked=True) if failing else plain
    return not (one.wrong or one.incomplete)


def _quiet(_: str) -> None:
    """That lines of source are missing is nothing to tell of a package without debug info."""
