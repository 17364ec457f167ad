"""One audit: a template with room for a life, a clone of it, the life in that, its failures."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import gettempdir

from freeonce.audit.attempts import Each, Where
from freeonce.audit.life import Life, Reason, Stage
from freeonce.audit.model import Verdict
from freeonce.audit.points import Point, Points, point, renumbered, sites_of
from freeonce.audit.result import NOTHING, Evidence
from freeonce.errors import FreeonceError, GuestLost, HostError, Obstacle, SubjectError
from freeonce.guest import clone, template_of
from freeonce.machine.argv import MIB, Window
from freeonce.machine.folder import kept_folder
from freeonce.machine.template import Template
from freeonce.project.host import cores, free_memory
from freeonce.project.setting import Setting
from freeonce.run.conclude import conclude_led, conclude_life
from freeonce.run.crew import CLONE_BYTES
from freeonce.run.failures import UNSOUND, Plain, counted, sweep
from freeonce.run.hear import lost_words
from freeonce.run.life import Lived, Plan, live
from freeonce.run.lives import lead_each
from freeonce.run.prepare import Prepared, Wish, prepare
from freeonce.run.side_by_side import side_by_side
from freeonce.run.supply import Supply
from freeonce.subject.places import Frame, Source
from freeonce.subject.traces import Stacks, traces

WINDOW = Window(128 * MIB, 64 * MIB)
"""A million records: a life leaves more than a scenario."""
MEMORY = 512
"""MiB, at least."""
SECONDS, SLOWER = 10.0, 10.0
"""A life with a failure hangs when it takes so much longer, and so many times as long."""
FEW = 8
"""Points for which another guest is not worth its start."""
A_CORE = 2
"""Guests of one CPU that a core bears: a life waits for timers and readers a third of its time."""
UNSOUND_THERE = "the run without failures is not clean in a guest with the CPUs of --fail-cpus"


@contextmanager
def ready(setting: Setting) -> Iterator[tuple[Setting, Template]]:
    """A template that a life has room in, and the setting that it is of."""
    machine = replace(setting.machine, memory=max(setting.machine.memory, MEMORY))
    setting = replace(setting, window=WINDOW, machine=machine, specimens=False)
    with template_of(setting) as source:
        yield setting, source


def guests_at_once(setting: Setting, jobs: int | None = None) -> int:
    """Guests for lives with failures: `jobs`, None: as many as cores and free memory bear."""
    most = free_memory() // (max(setting.machine.memory, MEMORY) * MIB + CLONE_BYTES)
    return jobs or max(1, min(A_CORE * cores(), most))


NO_GUEST = "no guest could be started"
"""What this host lacks: in a campaign another is asked."""
NOT_READY = "no guest could be made ready"
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
    guests: int = 1,
    so_far: SoFar = lambda _, __: None,
) -> Audited:
    """From the wish to the life, and with `each` to lives with failures.

    A subject that cannot be judged is a life that ended early. `doing`: is told what goes on,
    `warn` what the compiler says and what makes reports poorer, `so_far` what there is already.
    `guests`: of lives with failures, at once.
    Raises UsageError, HostError.
    """
    with ExitStack() as stack:
        scratch = stack.enter_context(kept_folder(Path(gettempdir())))
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

            every = audit_each(setting, source, prepared, each, done, guests)
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
        warn(f"freeonce: no source lines: {error}")
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


def audit_each(  # noqa: PLR0917
    setting: Setting,
    source: Template,
    prepared: Prepared,
    each: Each,
    done: Callable[[Callable[[], Failures], int, int], None],
    guests: int = 1,
) -> Failures:
    """The same, and then a life for each acquisition that is to fail (`run/failures.py`).

    `done`: as of `sweep`. `guests`: how many lead such lives at once. Raises UsageError too, for
    a point that there is not.
    """
    machine = replace(setting.machine, cpus=each.cpus)
    of_plain = setting, source
    with ExitStack() as stack:
        of_failing = of_plain
        if machine != setting.machine:
            of_failing = stack.enter_context(ready(replace(setting, machine=machine)))
        leader = Lives(of_plain, of_failing, prepared, guests)
        return _swept(leader, each, done)


def _swept(
    leader: "Lives", each: Each, done: Callable[[Callable[[], Failures], int, int], None]
) -> Failures:
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

    `life`: the one without failures, once it was led. `stacks`: that points speak of. `failing`:
    the setting of guests for lives with a failure, and their template; `guests`: how many at once.
    """

    life: Life

    def __init__(
        self,
        of_plain: tuple[Setting, Template],
        of_failing: tuple[Setting, Template],
        prepared: Prepared,
        guests: int = 1,
    ) -> None:
        self._of_plain = of_plain
        self._of_failing = of_failing
        self._prepared = prepared
        self._guests = guests
        self._who = _name(prepared), prepared.targets
        self.stacks = Stacks(prepared.sources)

    def plain(self) -> Plain:
        """Acquisitions are counted where they are to fail: another machine may make others."""
        alike = self._of_plain[0] == self._of_failing[0]
        life = self.life = audit(*self._of_plain, self._prepared, count=alike)
        counting = life if alike or not self._sound(life) else self._counted()
        if not self._sound(counting):
            return Plain(life.result, unled=UNSOUND if counting is life else UNSOUND_THERE)
        records = counting.result.evidence.records
        found, unled = counted(records, counting.bounds)
        self._seconds = counting.result.seconds
        if not alike:
            numbers = self.stacks.numbers(records, {one.site for one in found})
            found = tuple(replace(one, site=numbers.get(one.site, 0)) for one in found)
        return Plain(life.result, found, unled)

    def _counted(self) -> Life:
        return audit(*self._of_failing, self._prepared, count=True)

    def _sound(self, life: Life) -> bool:
        """One that does not load, and gives back what it had, may have failures as well."""
        if any(one.obstacle is not Obstacle.DOES_NOT_LOAD for one in life.reasons):
            return False
        judged = conclude_led(*self._who, life.result.evidence, life.result.seconds)
        return judged.judgement.verdict is Verdict.CLEAN

    def failing(self, points: Sequence[Where]) -> Iterator[Point]:
        """A life for each point; what is left when no guest can be had any more is not known."""
        left = dict.fromkeys(points)
        supply = Supply(points, min(self._guests, -(-len(points) // FEW)) or 1)
        try:
            for one in side_by_side([partial(self._led, supply)] * supply.guests):
                del left[Where(one.number, one.after)]
                yield one
        except FreeonceError as error:
            # Of one guest. The others may have led all that there was.
            why = NO_GUEST if isinstance(error, GuestLost | HostError) else NOT_READY
            evidence = Evidence(NOTHING, doubts=(f"{why}: {error}",))
            for where in left:
                yield point(where, conclude_led(*self._who, evidence, 0.0))

    def _led(self, supply: Supply[Where]) -> Iterator[Point]:
        """In one guest after the other; each is judged by who led it."""
        plan, (setting, source) = self._prepared.plan, self._of_failing
        seconds = min(most_seconds(plan), SECONDS + SLOWER * self._seconds)
        make = partial(clone, source, setting.image)
        start = time.monotonic()
        for led in lead_each(make, plan, supply, seconds):
            now = time.monotonic()
            result = conclude_led(*self._who, led.evidence, now - start)
            start = now
            one = point(led.where, result, led.said)
            numbers = self.stacks.numbers(result.evidence.records, sites_of(one))
            yield renumbered(one, numbers)
