"""A life of foreign modules in a pristine guest: load, exercise, unload, come to rest, be judged.

Each stage is bounded. What fails is a reason with a name, and the life goes on as far as it
makes sense: a module that does not load may have leaked in its init function.
"""

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from freeonce.audit.life import NEVER_LOADED, Bounds, Ran, Reason, Stage
from freeonce.audit.result import NOTHING, Evidence
from freeonce.errors import (
    CommandFailed,
    EvidenceError,
    GuestLost,
    Loss,
    Obstacle,
    SubjectError,
)
from freeonce.evidence.ledger import Header
from freeonce.evidence.text import printable
from freeonce.guest import CONTROL, Guest
from freeonce.guest.bounded import Ended, run_bounded
from freeonce.guest.drain import Drain, drain
from freeonce.guest.files import GuestFile, send
from freeonce.run.exercise import FOLDER, Exercise
from freeonce.run.hear import LIFE, collect, lost_words, salvage

MODULES = "/tmp/modules"
SLICE_SECONDS = 0.5
USE_MODPROBE = "echo /bin/modprobe >/proc/sys/kernel/modprobe"
WORDS = 2_000
"""Characters of the kernel's words that a reason quotes."""


@dataclass(frozen=True)
class Load:
    """A module to load. `data`: of its file, redirected when it is a `subject`."""

    name: str
    data: bytes = field(repr=False)
    subject: bool
    parameters: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Where it lies in the guest."""
        return f"{MODULES}/{self.name}.ko"


@dataclass(frozen=True)
class Limits:
    """Seconds that a stage may take; more where the machine needs patience."""

    load: float = 30.0
    exercise: float = 60.0
    unload: float = 30.0
    quiesce: float = 60.0


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Plan:
    """A life as it was asked for. `loads`: in order, dependencies among them.

    `within_reach`: modules that are loaded when the kernel asks for them, and their index.
    `keep`: seconds that the subjects stay loaded after the exercises.
    """

    loads: tuple[Load, ...]
    exercises: tuple[Exercise, ...] = ()
    files: tuple[GuestFile, ...] = ()
    within_reach: tuple[GuestFile, ...] = ()
    keep: float = 0.0
    unload: bool = True
    limits: Limits = DEFAULT_LIMITS

    @property
    def subjects(self) -> tuple[Load, ...]:
        """Those that are judged."""
        return tuple(load for load in self.loads if load.subject)


@dataclass
class Lived:
    """How far a life came, filled as it goes."""

    stage: Stage = Stage.PREPARE
    reasons: list[Reason] = field(default_factory=list)
    ran: list[Ran] = field(default_factory=list)
    bounds: Bounds = NEVER_LOADED
    evidence: Evidence = field(default_factory=lambda: Evidence(NOTHING))

    def stopped(self, obstacle: Obstacle, message: str) -> None:
        """Note what spoils it."""
        self.reasons.append(Reason(obstacle, message))


def live(guest: Guest, plan: Plan, count: bool = False) -> Lived:
    """Lead a life through. Whatever happens, what is known of it comes back.

    `count`: each acquisition is told, so that one can be made to fail in another life.
    """
    lived = Lived()
    try:
        before = prepare_guest(guest, plan)
        with drain(guest, before.count) as drained:
            _drained(guest, before, plan, lived, drained, "count" if count else "")
    except SubjectError as error:
        lived.stopped(error.reason, str(error))
    except GuestLost as error:
        lived.stopped(Obstacle.GUEST_LOST, lost_words(error))
        lived.evidence = Evidence(NOTHING, loss=error.loss)
    except (EvidenceError, CommandFailed) as error:
        lived.stopped(Obstacle.GUEST_LOST, str(error))
    return lived


def _drained(  # noqa: PLR0917
    guest: Guest, before: Header, plan: Plan, lived: Lived, drained: Drain, options: str
) -> None:
    """From begin to evidence, with the host taking records meanwhile."""
    try:
        guest.ask(f"life begin drain {options}".strip())
        with guest.meanwhile(drained.take):
            _through(guest, plan, lived)
        # From now on nobody waits for us.
        drained.take()
        lived.stage = Stage.QUIESCE
        guest.ask("life end", plan.limits.quiesce)
        lived.stage = Stage.JUDGE
        lived.evidence, _ = collect(guest, before, LIFE, drained)
    except (GuestLost, CommandFailed) as error:
        lost = error if isinstance(error, GuestLost) else _unruly(error)
        lived.stopped(_obstacle(lived), lost_words(lost))
        lived.evidence = salvage(guest, before, lost, LIFE, drained)
    if drained.doubt:
        lived.stopped(Obstacle.NOT_DRAINED, drained.doubt)


def _unruly(error: CommandFailed) -> GuestLost:
    """The instrument says no: nothing that comes after would mean anything."""
    return GuestLost(str(error), loss=Loss.CONTROL)


def _obstacle(lived: Lived) -> Obstacle:
    return Obstacle.NOT_QUIET if lived.stage is Stage.QUIESCE else Obstacle.GUEST_LOST


def prepare_guest(guest: Guest, plan: Plan) -> Header:
    """Files and dependencies, and the instrument told whom to watch; the ledger's header then."""
    guest.command(f"mkdir -p {FOLDER}")
    modules = [GuestFile(load.path, load.data) for load in plan.loads]
    send(guest, [*modules, *plan.files, *plan.within_reach])
    if plan.within_reach:
        guest.command(USE_MODPROBE)
    loaded = printable(guest.command("cut -d ' ' -f 1 /proc/modules")).split()
    for load in plan.loads:
        if not load.subject and load.name not in loaded:
            _insert(guest, load, plan.limits.load, what="the dependency ")
    for load in plan.subjects:
        if load.name in loaded:
            message = f"{load.name} is loaded already: the guest itself needs it"
            raise SubjectError(Obstacle.DOES_NOT_LOAD, message)
    names = " ".join(load.name for load in plan.subjects)
    guest.command(f"echo {names} >{CONTROL}/subjects")
    return guest.header()


def _through(guest: Guest, plan: Plan, lived: Lived) -> None:
    """From the first subject's load to the last one's unload."""
    there: list[Load] = []
    try:
        lived.stage = Stage.LOAD
        for load in plan.subjects:
            _insert(guest, load, plan.limits.load)
            there.append(load)
        lived.stage = Stage.EXERCISE
        lived.bounds = Bounds(loaded=guest.header().count)
        for exercise in plan.exercises:
            _exercise(guest, exercise, plan.limits.exercise, lived)
        _keep(guest, plan.keep)
    except SubjectError as error:
        lived.stopped(error.reason, str(error))
        if error.reason is Obstacle.HANGS_IN_INIT:
            raise GuestLost(str(error), loss=Loss.HANG) from error
    if plan.unload:
        lived.stage = Stage.UNLOAD
        lived.bounds = replace(lived.bounds, unloading=guest.header().count)
        _unload(guest, there, plan.limits.unload, lived)


def _insert(guest: Guest, load: Load, seconds: float, what: str = "") -> None:
    """Raises SubjectError with the kernel's own words."""
    ended = _logged(guest, shlex.join(["insert", load.path, *load.parameters]), seconds)
    if ended.status == 0:
        guest.command(f"rm {load.path}")
        return
    if ended.status is None:
        message = f"{what}{load.name}: its init function does not return within {seconds:g} s"
        raise SubjectError(Obstacle.HANGS_IN_INIT, f"{message}{ended.output}")
    message = f"{what}{load.name} does not load: {ended.output.strip()}"
    raise SubjectError(Obstacle.DOES_NOT_LOAD, message)


def _logged(guest: Guest, command: str, seconds: float) -> Ended:
    """The command, with what the kernel said meanwhile behind its output if it fails."""
    guest.command("dmesg -c >/dev/null")
    ended = run_bounded(guest, command, seconds)
    if ended.status == 0:
        return ended
    words = printable(guest.command("dmesg")).strip()[-WORDS:]
    return Ended(ended.status, f"{ended.output.strip()}\n{words}".rstrip())


def _exercise(guest: Guest, exercise: Exercise, seconds: float, lived: Lived) -> None:
    """One exercise; its failure is a reason, and the next one is done all the same."""
    start = time.monotonic()
    command = f"export PATH={FOLDER}:$PATH\n{exercise.command}"
    ended = run_bounded(guest, command, seconds, FOLDER)
    lived.ran.append(Ran(exercise.name, ended.status, ended.output, time.monotonic() - start))
    if ended.status != 0:
        last = ended.output.strip().rpartition("\n")[2]
        said = f': "{last[:200]}"' if last else ""
        bound = f" within {seconds:g} s" if ended.status is None else ""
        lived.stopped(
            Obstacle.EXERCISE_FAILED, f"the exercise {exercise.name} {ended.how}{bound}{said}"
        )


def _keep(guest: Guest, seconds: float) -> None:
    """Wait, and notice when the guest dies meanwhile."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, SLICE_SECONDS))
        guest.check()


def _unload(guest: Guest, there: Sequence[Load], seconds: float, lived: Lived) -> None:
    """In reverse order; one that stays keeps those below it, too."""
    for load in reversed(there):
        ended = _logged(guest, f"rmmod {load.name}", seconds)
        if ended.status == 0:
            continue
        how = f"within {seconds:g} s" if ended.status is None else f"\n{ended.output}"
        message = f"{load.name} does not unload {how}".replace(" \n", ": ")
        lived.stopped(Obstacle.DOES_NOT_UNLOAD, message)
        if ended.status is None:
            raise GuestLost(message, loss=Loss.HANG)
        return
