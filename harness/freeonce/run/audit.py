"""One audit: a template with room for a life, a clone of it, the life in that, its failures."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from freeonce.audit.attempts import Each, Where
from freeonce.audit.life import Life, Reason, Stage
from freeonce.audit.model import Verdict
from freeonce.audit.points import Point, Points, point, renumbered, sites_of
from freeonce.audit.result import NOTHING, Evidence
from freeonce.errors import GuestLost, HostError, Obstacle, SubjectError
from freeonce.guest import clone, template_of
from freeonce.machine.argv import MIB, Window
from freeonce.machine.template import Template
from freeonce.project.setting import Setting
from freeonce.run.conclude import conclude_led, conclude_life
from freeonce.run.failures import Plain, sweep
from freeonce.run.hear import lost_words
from freeonce.run.life import Lived, Plan, live
from freeonce.run.lives import lead_each
from freeonce.run.prepare import Prepared, Wish, prepare
from freeonce.subject.places import Frame, Source
from freeonce.subject.traces import Stacks, traces

WINDOW = Window(128 * MIB, 64 * MIB)
"""A million records: a life leaves more than a scenario."""
MEMORY = 512
"""MiB, at least."""
SECONDS, SLOWER = 10.0, 10.0
"""A life with a failure hangs when it takes so much longer, and so many times as long."""


@contextmanager
def ready(setting: Setting) -> Iterator[tuple[Setting, Template]]:
    """A template that a life has room in, and the setting that it is of."""
    machine = replace(setting.machine, memory=max(setting.machine.memory, MEMORY))
    setting = replace(setting, window=WINDOW, machine=machine, specimens=False)
    with template_of(setting) as source:
        yield setting, source


NO_GUEST = "no guest could be had"
Note = Callable[[str], None]
"""Is told something in words."""


@dataclass(frozen=True)
class Audited:
    """A life, the setting that it was led in, and the frames of its stacks.

    `points`: of lives with a failure, None where none was asked for.
    """

    life: Life
    setting: Setting
    traces: Mapping[int, tuple[Frame, ...]]
    points: Points | None = None


SoFar = Callable[[Callable[[], Audited], str], None]
"""Is told what makes an audit of what was led already, and in words how far that came."""


def audited(
    wish: Wish,
    setting: Setting,
    each: Each | None = None,
    doing: Note = lambda _: None,
    warn: Note = lambda _: None,
    *,
    so_far: SoFar = lambda _, __: None,
) -> Audited:
    """From the wish to the life, and with `each` to lives with failures.

    A subject that cannot be judged is a life that ended early. `doing`: is told what goes on,
    `warn` what the compiler says and what makes reports poorer, `so_far` what there is already.
    Raises UsageError, HostError.
    """
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="freeonce-")))
        try:
            prepared = prepare(wish, setting.image, scratch)
        except SubjectError as error:
            return Audited(unborn(wish.targets, Stage.READ, error.reason, str(error)), setting, {})
        for warning in prepared.warnings:
            warn(warning)
        doing("making a guest ready")
        try:
            setting, source = stack.enter_context(ready(setting))
            doing(_name(prepared))
            if each is None:
                life = audit(setting, source, prepared)
                return Audited(life, setting, traces_of_life(life, prepared.sources, warn))

            def audited_so_far(so_far: Callable[[], Failures]) -> Audited:
                found = so_far()
                frames = traces_of_life(found.life, prepared.sources, warn)
                frames |= _or_none(found.stacks.traces, warn)
                return Audited(found.life, setting, frames, found.points)

            def done(found: Callable[[], Failures], led: int, of: int) -> None:
                how_far = f"{led} of {of} failure points"
                doing(f"{_name(prepared)}: {how_far}")
                so_far(partial(audited_so_far, found), f"broken off after {how_far}")

            every = audit_each(setting, source, prepared, each, done)
            return audited_so_far(lambda: every)
        except GuestLost as lost:
            life = unborn(wish.targets, Stage.BOOT, Obstacle.GUEST_LOST, lost_words(lost), prepared)
            return Audited(life, setting, traces_of_life(life, prepared.sources, warn))


def unborn(
    names: Sequence[str],
    stage: Stage,
    reason: Obstacle,
    message: str,
    prepared: Prepared | None = None,
) -> Life:
    """A life of these targets that never began."""
    targets = prepared.targets if prepared else ()
    name = " ".join(Path(target).name for target in names)
    lived = Lived(stage, [Reason(reason, message)])
    return conclude_life(name, targets, lived, 0.0)


def traces_of_life(
    life: Life, sources: Sequence[Source], warn: Note
) -> dict[int, tuple[Frame, ...]]:
    """The frames of its stacks; none, with a warning, where they cannot be had."""
    return _or_none(lambda: traces(life.result.evidence.records, sources), warn)


def _or_none(
    found: Callable[[], dict[int, tuple[Frame, ...]]], warn: Note
) -> dict[int, tuple[Frame, ...]]:
    """Without them a report is poorer, and says so, but none the less true."""
    try:
        return found()
    except HostError as error:
        warn(f"freeonce: no lines of source: {error}")
        return {}


def audit(setting: Setting, source: Template, prepared: Prepared, count: bool = False) -> Life:
    """Lead the life in a clone, and judge it. `count`: whether its acquisitions are counted.

    Raises GuestLost, HostError without a guest.
    """
    start = time.monotonic()
    with clone(source, setting.image) as guest:
        lived = live(guest, prepared.plan, count)
    return conclude_life(_name(prepared), prepared.targets, lived, time.monotonic() - start)


def _name(prepared: Prepared) -> str:
    return " ".join(target.name for target in prepared.targets)


@dataclass(frozen=True)
class Failures:
    """A life without failures, and what became of those with one. `stacks`: that these speak of."""

    life: Life
    points: Points
    stacks: Stacks


def audit_each(
    setting: Setting,
    source: Template,
    prepared: Prepared,
    each: Each,
    done: Callable[[Callable[[], Failures], int, int], None],
) -> Failures:
    """The same, and then a life for each acquisition that is to fail (`run/failures.py`).

    `done`: as of `sweep`. Raises UsageError too, for a point that
    there is not.
    """
    leader = Lives(setting, source, prepared)

    def found(points: Callable[[], Points]) -> Failures:
        return Failures(leader.life, points(), leader.stacks)

    def led(so_far: Callable[[], Points], led: int, of: int) -> None:
        done(partial(found, so_far), led, of)

    every = sweep(leader, each, led)
    return found(lambda: every)


def most_seconds(plan: Plan) -> float:
    """Seconds that a life may take, by the limits of its stages."""
    limits = plan.limits
    each = len(plan.subjects) * (limits.load + limits.unload)
    return each + len(plan.exercises) * limits.exercise + plan.keep + limits.quiesce


class Lives:
    """Lives of what was prepared, in clones (`run/failures.py`, Leader).

    `life`: the one without failures, once it was led. `stacks`: that points speak of.
    """

    life: Life

    def __init__(self, setting: Setting, source: Template, prepared: Prepared) -> None:
        self._setting = setting
        self._source = source
        self._prepared = prepared
        self._who = _name(prepared), prepared.targets
        self.stacks = Stacks(prepared.sources)

    def plain(self) -> Plain:
        """One that does not load, and gives back what it had, may have failures as well."""
        life = self.life = audit(self._setting, self._source, self._prepared, count=True)
        result = life.result
        if any(one.obstacle is not Obstacle.DOES_NOT_LOAD for one in life.reasons):
            return Plain(result, sound=False)
        judged = conclude_led(result.scenario.name, life.targets, result.evidence, result.seconds)
        sound = judged.judgement.verdict is Verdict.CLEAN
        return Plain(result, sound, life.bounds)

    def failing(self, points: Sequence[Where]) -> Iterator[Point]:
        """A life for each point; what is left when no guest can be had any more is not known."""
        left = list(points)
        try:
            for one in self._led(points):
                left.remove(Where(one.number, one.after))
                yield one
        except GuestLost as lost:
            evidence = Evidence(NOTHING, doubts=(f"{NO_GUEST}: {lost}",))
            for where in left:
                yield point(where, conclude_led(*self._who, evidence, 0.0))

    def _led(self, points: Sequence[Where]) -> Iterator[Point]:
        seconds = min(
            most_seconds(self._prepared.plan), SECONDS + SLOWER * self.life.result.seconds
        )
        make = partial(clone, self._source, self._setting.image)
        start = time.monotonic()
        for led in lead_each(make, self._prepared.plan, points, seconds):
            now = time.monotonic()
            result = conclude_led(*self._who, led.evidence, now - start)
            start = now
            one = point(led.where, result, led.said)
            yield renumbered(one, self.stacks.numbers(result.evidence.records, sites_of(one)))
