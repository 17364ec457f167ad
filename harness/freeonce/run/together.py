"""Lives of many modules: one after the other in one guest, as long as each leaves nothing behind.

Only what comes through clean is told of such a life. Every other module has another one alone,
in a pristine guest, and of that one all is told.
"""

import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from freeonce.audit.life import Life, Stage
from freeonce.audit.model import Verdict
from freeonce.errors import CommandFailed, EvidenceError, GuestLost, Obstacle, SubjectError
from freeonce.evidence.ledger import Phase, Records, Type
from freeonce.guest import CONTROL, Guest, clone
from freeonce.guest.files import GuestFile, send
from freeonce.machine.template import Template
from freeonce.project.setting import Setting
from freeonce.run.audit import audit, most_seconds, unborn
from freeonce.run.conclude import conclude_led
from freeonce.run.exercise import FOLDER
from freeonce.run.hear import lost_words
from freeonce.run.life import MODULES, USE_MODPROBE, Plan
from freeonce.run.lives import EAGER, STEPS, Led, lead_turns, steps
from freeonce.run.prepare import Prepared
from freeonce.run.supply import Supply

THERE = "/tmp/there"
NOTE = f"cut -d ' ' -f 1 /proc/modules >{THERE}"
REACH = "/lib/modules"
# The files of the life before, and what it needed: each goes when nobody needs it any more.
CLEAR = f"""
rm -rf {MODULES} {REACH}
for round in 1 2 3; do
	others=$(cut -d ' ' -f 1 /proc/modules | grep -v -x -F -f {THERE})
	[ -z "$others" ] || rmmod $others 2>/dev/null
done
true
"""


@dataclass(frozen=True)
class _Turn:
    """The life of one of many."""

    prepared: Prepared

    @property
    def options(self) -> str:
        return ""


def lives_of(
    setting: Setting, source: Template, many: Sequence[Prepared]
) -> Iterator[tuple[Prepared, Life]]:
    """One life for each, in whatever order. Raises HostError, and GuestLost when no guest can be
    had.
    """
    alone: list[Prepared] = []
    make = partial(clone, source, setting.image)
    seconds = max((most_seconds(one.plan) for one in many), default=0.0)
    start = time.monotonic()
    turns = Supply([_Turn(one) for one in many])
    try:
        for led in lead_turns(make, _ready, _before, turns, seconds):
            now = time.monotonic()
            life = _clean(led, now - start)
            start = now
            if life is None:
                alone.append(led.where.prepared)
            else:
                yield led.where.prepared, life
    except (CommandFailed, EvidenceError, SubjectError):
        # No guest can be prepared for many. Each alone says why, or needs less.
        alone += [one.prepared for one in turns.take(len(many))]
    for one in alone:
        try:
            yield one, audit(setting, source, one)
        except GuestLost as lost:
            names = [target.name for target in one.targets]
            yield one, unborn(names, Stage.BOOT, Obstacle.GUEST_LOST, lost_words(lost), one)


def _ready(guest: Guest) -> None:
    guest.command(f"mkdir -p {FOLDER} && {NOTE} && {USE_MODPROBE}")
    guest.command(EAGER)


def _before(guest: Guest, turn: _Turn) -> None:
    plan = turn.prepared.plan
    guest.command(CLEAR)
    files = [GuestFile(load.path, load.data) for load in plan.loads]
    send(guest, [*files, *plan.within_reach, GuestFile(STEPS, steps(plan))])
    guest.command(_inserted(plan), most_seconds(plan))


def _inserted(plan: Plan) -> str:
    """The dependencies that are not there yet, and the instrument told whom to watch."""
    names = " ".join(load.name for load in plan.subjects)
    lines = [
        f"grep -q -x {load.name} {THERE} || {shlex.join(['insmod', load.path])} || exit 1"
        for load in plan.loads
        if not load.subject
    ]
    return "\n".join([*lines, f"echo {names} >{CONTROL}/subjects"])


def _clean(led: Led[_Turn], seconds: float) -> Life | None:
    """A whole life of which nothing is to be told but that it was clean."""
    prepared = led.where.prepared
    name = " ".join(target.name for target in prepared.targets)
    result = conclude_led(name, prepared.targets, led.evidence, seconds)
    whole = went_live(led.evidence.records) == len(prepared.targets) and not led.said
    if result.judgement.verdict is not Verdict.CLEAN or not whole:
        return None
    return Life(prepared.targets, Stage.JUDGE, (), (), result)


def went_live(records: Records) -> int:
    """How many modules had an init function that went well."""
    return int(
        np.count_nonzero((records["type"] == Type.PHASE) & (records["detail"] == Phase.LIVE))
    )
