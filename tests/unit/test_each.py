"""Which acquisitions are made to fail, and whether a guest may have another life after one."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

from freeonce.audit.attempts import STAGES, Attempt, Each, Sampled, Where, attempts, wanted
from freeonce.audit.life import Bounds, Stage
from freeonce.audit.phases import hung_in, untouched
from freeonce.audit.run import take_apart
from freeonce.cli.failing import EachPoint, WithBareOption
from freeonce.errors import (
    CommandFailed,
    EvidenceError,
    GuestLost,
    HostError,
    Loss,
    Obstacle,
    SubjectError,
)
from freeonce.evidence.ledger import Blind, Broken, Flag, Kind, Phase, Quiesced, Type
from freeonce.run import lives
from freeonce.run.exercise import Exercise
from freeonce.run.life import Load, Plan
from freeonce.run.lives import TRIES, Led, lead_each, steps
from freeonce.run.side_by_side import side_by_side
from freeonce.run.supply import Supply
from tests.unit.history import History, run

SECONDS = 30.0
ALL = Quiesced.RCU | Quiesced.WORK | Quiesced.DEFERRED


def phase(history: History, which: Phase, load: int = 1) -> History:
    return history.add(Type.PHASE, serial=load, detail=int(which))


def unloaded(history: History) -> History:
    phase(history.add(Type.ATTEMPT, serial=3, site=1), Phase.GOING)
    return history


def test_an_acquisition_has_the_stage_of_the_life_that_it_is_made_in() -> None:
    """The kernel says that a module goes when its exit function is over."""
    history = phase(run(), Phase.COMING).add(Type.ATTEMPT, serial=1, site=1)
    loaded = len(phase(history, Phase.LIVE).rows)
    unloading = len(history.add(Type.ATTEMPT, serial=2, site=2).rows)
    bounds = Bounds(loaded, unloading)
    found = attempts(unloaded(history).records(), bounds)
    assert [(one.number, one.stage) for one in found] == [
        *((1, Stage.LOAD), (2, Stage.EXERCISE), (3, Stage.UNLOAD)),
    ]
    never_live = phase(run(), Phase.COMING).add(Type.ATTEMPT, serial=1, site=1)
    assert [one.stage for one in attempts(never_live.records(), Bounds())] == [Stage.LOAD]


def test_the_last_record_of_a_stage_is_of_it() -> None:
    bounds = Bounds(loaded=5, unloading=8)
    stages = [bounds.stage(sequence) for sequence in (5, 6, 8, 9)]
    assert stages == [Stage.LOAD, Stage.EXERCISE, Stage.EXERCISE, Stage.UNLOAD]


def test_the_init_of_a_second_module_that_fails_is_no_exercise() -> None:
    history = phase(run(), Phase.COMING).add(Type.ATTEMPT, serial=1, site=1)
    phase(phase(history, Phase.LIVE), Phase.COMING, load=2).add(Type.ATTEMPT, serial=2, site=2)
    phase(history, Phase.INIT_FAILED, load=2)
    bounds = Bounds(loaded=None, unloading=len(history.rows))
    found = attempts(unloaded(history).records(), bounds)
    assert [one.stage for one in found] == [Stage.LOAD, Stage.LOAD, Stage.UNLOAD]


def test_a_stack_is_told_apart_by_its_addresses_and_not_by_its_number() -> None:
    history = run()
    for number in (1, 2):
        history.add(Type.STACK, site=number, pointer=0x1000, physical=0x2000)
        history.add(Type.ATTEMPT, serial=number, site=number)
    assert [one.stack for one in attempts(history.records())] == [(0x1000, 0x2000)] * 2


def made(*stacks: int, stage: Stage | None = None) -> list[Attempt]:
    return [Attempt(number, stage, (stack,), stack) for number, stack in enumerate(stacks, 1)]


def names(each: Each, found: list[Attempt]) -> list[str]:
    return [str(one) for one in wanted(found, each)[0]]


def test_what_is_asked_for_is_led() -> None:
    found = [replace(one, stage=stage) for one, stage in zip(made(1, 2, 1), STAGES, strict=True)]
    assert names(Each(), found) == ["1", "2", "3"]
    assert names(Each(after=True), found) == ["1", "1+", "2", "2+", "3", "3+"]
    assert names(Each(Stage.UNLOAD, after=True), found) == ["3", "3+"]
    assert names(Each(only=Where(2, after=True)), found) == ["2+"]


def test_a_guest_in_which_lives_have_failures_has_one_cpu() -> None:
    assert Each().cpus == 1


@pytest.mark.parametrize(
    ("limit", "led"), [(1, ["1"]), (2, ["1", "11"]), (3, ["1", "6", "11"]), (99, None)]
)
def test_a_stack_beyond_the_limit_is_sampled_and_that_is_told(
    limit: int, led: list[str] | None
) -> None:
    """Eleven acquisitions, ten of one stack: 1, 3, 4, ...; the fifth of these is number 6."""
    found = made(7, 8, *[7] * 9)
    chosen, sampled = wanted(found, Each(limit=limit))
    every = [str(number) for number in range(1, 12)]
    assert [str(one) for one in chosen] == (sorted([*led, "2"], key=int) if led else every)
    assert sampled == ((Sampled(7, 10, limit),) if led else ())


def test_a_sample_has_the_number_of_its_first_stack() -> None:
    found = [Attempt(number, None, (7,), site) for number, site in ((1, 4), (2, 5), (3, 6))]
    assert wanted(found, Each(limit=2))[1] == (Sampled(4, 3, 2),)


def whole_life() -> History:
    history = phase(phase(run(), Phase.COMING), Phase.LIVE)
    history.add(Type.ALLOCATE, serial=1, pointer=0x1000, size=8, kind=int(Kind.SLAB), site=1)
    flags = int(Flag.KEPT)
    history.add(Type.RELEASE, serial=1, pointer=0x1000, kind=int(Kind.SLAB), flags=flags, site=1)
    return phase(phase(history, Phase.GOING), Phase.GONE)


def rested(history: History, detail: int = ALL, live: int = 0) -> History:
    return history.add(Type.QUIESCED, detail=detail, size=live)


def test_a_guest_in_which_nothing_is_left_may_have_another_life() -> None:
    only_gone = phase(run(), Phase.GONE)
    for history in (whole_life(), only_gone):
        assert untouched(take_apart(rested(history).end().records()))


def withheld(history: History) -> History:
    flags = int(Flag.WITHHELD)
    return history.add(Type.RELEASE, serial=1, pointer=0x1000, kind=int(Kind.SLAB), flags=flags)


LEFT_BEHIND = {
    "never rested": whole_life(),
    "rested twice": rested(rested(whole_life())),
    "something is live": rested(whole_life(), live=1),
    "callbacks are under way": rested(whole_life(), ALL & ~Quiesced.RCU),
    "work is under way": rested(whole_life(), ALL & ~Quiesced.WORK),
    "releases are under way": rested(whole_life(), ALL & ~Quiesced.DEFERRED),
    "released twice": rested(withheld(whole_life())),
    "memory is broken": rested(whole_life().add(Type.BROKEN, serial=1, detail=Broken.POISON)),
    "lost sight of": rested(whole_life().add(Type.BLIND, detail=Blind.BOOKS)),
    "another module stays": rested(phase(whole_life(), Phase.LIVE, load=2)),
    "no module was seen": rested(run()),
}


@pytest.mark.parametrize("why", LEFT_BEHIND)
def test_a_guest_in_which_something_is_left_may_not(why: str) -> None:
    assert not untouched(take_apart(LEFT_BEHIND[why].end().records()))


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ((Phase.COMING,), "the init function of m does not return"),
        ((Phase.COMING, Phase.LIVE), "what is done to m does not end"),
        ((Phase.COMING, Phase.LIVE, Phase.GOING), "m does not unload"),
        ((Phase.COMING, Phase.LIVE, Phase.GOING, Phase.GONE), ""),
        ((), ""),
    ],
)
def test_what_hangs_is_known_by_how_far_the_module_came(
    phases: tuple[Phase, ...], said: str
) -> None:
    history = run().text(Type.SUBJECT, "m", serial=1)
    for one in phases:
        phase(history, one)
    assert hung_in(history.records()) == said


def test_what_hangs_is_the_module_that_did_something_last() -> None:
    history = run().text(Type.SUBJECT, "one", serial=1).text(Type.SUBJECT, "two", serial=2)
    phase(phase(phase(history, Phase.COMING), Phase.LIVE), Phase.COMING, load=2)
    assert hung_in(history.records()) == "the init function of two does not return"
    phase(history, Phase.GOING, load=3)
    assert hung_in(history.records()) == "a module does not unload"


def test_a_life_is_steps_that_the_guest_takes_by_itself() -> None:
    loads = (
        Load("below", b"", subject=False),
        Load("one", b"", subject=True, parameters=("a=1", "b=two words")),
        Load("two", b"", subject=True),
    )
    plan = Plan(loads, (Exercise("x", "echo a\necho b"),), keep=0.5)
    assert steps(plan).split(b"\0") == [
        b'load /tmp/modules/one.ko a=1 b="two words"',
        b"load /tmp/modules/two.ko ",
        b"exercise export PATH=/audit:$PATH\necho a\necho b",
        *(b"keep 500", b"unload two", b"unload one", b""),
    ]


class Batches:
    """Guests that are lost in some lives, and spoilt by others.

    `untold`: those after which a guest is lost before it told of any life of the batch.
    """

    def __init__(
        self, lost: set[int], spoilt: set[int], untold: Mapping[int, Exception] = {}
    ) -> None:
        self.lost, self.spoilt, self.untold = lost, spoilt, untold
        self.guests = 0
        self.batches: list[list[int]] = []

    @contextmanager
    def make(self) -> Iterator[Any]:
        self.guests += 1
        yield SimpleNamespace()

    def batch(self, _: Any, points: list[Where], *__: Any) -> tuple[list[Any], bool]:
        self.batches.append([one.number for one in points])
        for one in points:
            if one.number in self.untold:
                raise self.untold[one.number]
        done: list[Any] = []
        for one in points:
            if one.number in self.lost:
                return [SimpleNamespace(where=one)], False
            done.append(SimpleNamespace(where=one))
            if one.number in self.spoilt:
                return done, False
        return done, True


def every(monkeypatch: pytest.MonkeyPatch, batches: Batches, count: int) -> list[Any]:
    monkeypatch.setattr(lives, "make_ready", lambda *_: None)
    monkeypatch.setattr(lives, "_batch", batches.batch)
    points = [Where(number) for number in range(1, count + 1)]
    return list(lead_each(batches.make, Plan(()), Supply(points), 1.0))


def led(monkeypatch: pytest.MonkeyPatch, batches: Batches, count: int) -> list[int]:
    return [one.where.number for one in every(monkeypatch, batches, count)]


def test_lives_are_led_in_one_guest_and_ever_more_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batches = Batches(set(), set())
    assert led(monkeypatch, batches, 8) == list(range(1, 9))
    assert batches.guests == 1
    assert batches.batches == [[1], [2, 3], [4, 5, 6, 7], [8]]


def test_a_lost_guest_costs_only_its_own_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those before it, of which the guest has told nothing yet, are led again."""
    batches = Batches(lost={6}, spoilt={2})
    assert sorted(led(monkeypatch, batches, 8)) == list(range(1, 9))
    assert batches.batches == [[1], [2, 3], [3], [4, 5], [6, 7, 8], [7], [8]]
    assert batches.guests == 3


@pytest.mark.parametrize(
    ("error", "loss"),
    [
        (GuestLost("gone", loss=Loss.PANIC), Loss.PANIC),
        (CommandFailed("no answer"), Loss.CONTROL),
        (EvidenceError("no ledger"), Loss.CONTROL),
    ],
)
def test_who_is_blamed_for_a_batch_that_nobody_told_of_failed_alone(
    error: Exception, loss: Loss, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = Batches(set(), set(), {6: error})
    told = every(monkeypatch, batches, 8)
    blamed = {one.where.number: one.evidence for one in told if isinstance(one, Led)}
    (evidence,) = blamed.values()
    assert blamed.keys() == {6}
    # From Python 3.13 on two with arrays cannot be compared as a whole.
    assert (len(evidence.records), evidence.doubts, evidence.loss) == (0, (str(error),), loss)
    assert sorted(one.where.number for one in told) == list(range(1, 9))
    assert batches.batches == [
        *([1], [2, 3], [4, 5, 6, 7], [4], [5, 6], [5], [6, 7], [6], [6], [7], [8]),
    ]


def test_without_a_guest_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> Any:
        raise GuestLost("no guest")

    monkeypatch.setattr(lives, "make_ready", never)
    with pytest.raises(GuestLost, match="no guest"):
        list(lead_each(Batches(set(), set()).make, Plan(()), Supply([Where(1)]), 1.0))
    monkeypatch.setattr(lives, "make_ready", lambda *_: (_ for _ in ()).throw(HostError("x", "no")))
    with pytest.raises(HostError):
        list(lead_each(Batches(set(), set()).make, Plan(()), Supply([Where(1)]), 1.0))


@pytest.mark.parametrize(
    "error",
    [
        SubjectError(Obstacle.DOES_NOT_LOAD, "the dependency x does not load"),
        EvidenceError("no ledger"),
        CommandFailed("no room"),
    ],
)
def test_when_no_guest_can_be_prepared_all_is_left(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def never(*_: object) -> Any:
        raise error

    monkeypatch.setattr(lives, "make_ready", never)
    points = [Where(1), Where(2)]
    supply = Supply(points)
    batches = Batches(set(), set())
    with pytest.raises(type(error), match=str(error)):
        list(lead_each(batches.make, Plan(()), supply, 1.0))
    assert batches.guests == TRIES
    assert supply.take(9) == points


def test_one_guest_that_cannot_be_prepared_leaves_the_points_to_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other leads none before that one gave up."""
    tries: list[None] = []
    over = threading.Event()

    def ready(guest: Any, _: Plan) -> None:
        if guest.full:
            tries.append(None)
            if len(tries) == TRIES:
                over.set()
            raise CommandFailed("no room")

    def batch(_: Any, points: list[Where], *__: Any) -> tuple[list[Any], bool]:
        assert over.wait(SECONDS)
        return [SimpleNamespace(where=one) for one in points], True

    monkeypatch.setattr(lives, "make_ready", ready)
    monkeypatch.setattr(lives, "_batch", batch)
    points = [Where(number) for number in range(1, 101)]
    supply = Supply(points, guests=2)
    makes: list[Any] = [partial(nullcontext, SimpleNamespace(full=full)) for full in (True, False)]
    both = [partial(lead_each, make, Plan(()), supply, 1.0) for make in makes]
    told: list[Any] = []
    with pytest.raises(CommandFailed, match="no room"):
        told.extend(side_by_side(both))
    assert sorted(one.where.number for one in told) == list(range(1, 101))


@click.command(cls=WithBareOption)
@click.argument("targets", nargs=-1)
@click.option("--fail-each", type=EachPoint())
def said(targets: tuple[str, ...], fail_each: Each | None) -> None:
    click.echo(f"{targets} {fail_each and (fail_each.stage, fail_each.after)}")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--fail-each", "brd"], "('brd',) (None, False)"),
        (["--fail-each=load", "brd"], "('brd',) (<Stage.LOAD: 'load'>, False)"),
        (["--fail-each=+unload", "brd"], "('brd',) (<Stage.UNLOAD: 'unload'>, True)"),
        (["--fail-each=+", "brd"], "('brd',) (None, True)"),
        (["brd", "--", "--fail-each"], "('brd', '--fail-each') None"),
    ],
)
def test_fail_each_takes_a_stage_only_behind_its_own_sign(arguments: list[str], told: str) -> None:
    assert CliRunner().invoke(said, arguments).output.strip() == told


def test_a_stage_that_there_is_not_is_refused() -> None:
    done = CliRunner().invoke(said, ["--fail-each=quiesce", "brd"])
    assert done.exit_code == 2
    assert "'quiesce' is not one of all, load, exercise, unload" in done.output
