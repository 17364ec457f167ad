"""Each acquisition of a module's life made to fail: what becomes of it, and of the guest."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from freeonce.audit import memory
from freeonce.audit.attempts import Each, Where
from freeonce.audit.life import Stage
from freeonce.audit.phases import untouched
from freeonce.audit.points import Outcome, Point
from freeonce.guest import Guest, clone
from freeonce.machine.template import Template
from freeonce.project.setting import Setting
from freeonce.report.found import found
from freeonce.run.audit import Failures, audit_each
from freeonce.run.hear import at_a_glance, glance, look
from freeonce.run.life import Limits
from freeonce.run.lives import lead_each, make_ready
from freeonce.run.prepare import Prepared, Wish, prepare
from freeonce.run.supply import Supply
from freeonce.subject.build import build
from tests.guest.lives import Place, headers_of, made_once, shared
from tests.guest.test_modules import EXPECTED, MODULES

FAILING = [name for name, about in EXPECTED.items() if "points" in about]
QUICK = Limits(load=2, exercise=1, unload=1, quiesce=2)
pytestmark = pytest.mark.xdist_group("each")


@pytest.fixture(scope="session")
def built(place: Place, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with these modules alone."""

    def make(into: Path) -> None:
        some = into / "source" / "modules"
        some.mkdir(parents=True)
        for name in ("Kbuild", *(f"{name}.c" for name in FAILING)):
            shutil.copy(MODULES / name, some)
        build(some, headers_of(place[0]), into)

    return made_once(shared(tmp_path_factory.getbasetemp(), worker_id), "failing", make)


def prepared(name: str, place: Place, built: Path, scratch: str) -> Prepared:
    wish = Wish(targets=(str(built / "modules" / f"{name}.ko"),), limits=QUICK)
    return prepare(wish, place[0].image, Path(scratch))


def failures(name: str, place: Place, built: Path, each: Each) -> Failures:
    with TemporaryDirectory() as scratch:
        return audit_each(*place, prepared(name, place, built, scratch), each, lambda *_: None)


@pytest.mark.parametrize("name", FAILING)
def test_what_becomes_of_each_failure_is_what_the_module_does(
    name: str,
    place: Place,
    built: Path,
) -> None:
    done = failures(name, place, built, Each(after=True))
    about = EXPECTED[name]
    assert done.points.counted == about["counted"]
    assert [one.name for one in done.points.points] == [
        f"{number}{after}" for number in range(1, about["counted"] + 1) for after in ("", "+")
    ]
    frames = done.stacks.traces()
    outcomes = {one.name: one.outcome for one in done.points.points}
    expected = {where: point["outcome"] for where, point in about["points"].items()}
    assert {one for one in outcomes.items() if one[1] is not Outcome.HANDLED} == set(
        expected.items()
    ), [one.detail for one in done.points.points]
    for one in done.points.points:
        # Its own stack: function and offset, whether it crashed or not.
        assert any(frame.module == name and frame.offset for frame in frames[one.site]), one
        if one.name in expected:
            assert about["points"][one.name]["function"] in of_fault(one, done), one.detail


def of_fault(one: Point, done: Failures) -> str:
    """The function that a finding is in; without one what the point says."""
    groups = found(one.result.judgement.findings, done.stacks.traces())
    places = [group.place.frame.function for group in groups if group.place]
    return " ".join(places) or one.detail


def test_a_stage_alone_and_one_point_alone(place: Place, built: Path) -> None:
    (last,) = failures("fail_clean", place, built, Each(stage=Stage.UNLOAD)).points.points
    assert (last.name, last.stage, last.outcome) == ("4", Stage.UNLOAD, Outcome.HANDLED)
    (one,) = failures("fail_leak", place, built, Each(only=Where(2))).points.points
    assert (one.name, one.outcome) == ("2", Outcome.LEAKED)


class Guests:
    """Clones, each looked at before it goes."""

    def __init__(self, setting: Setting, source: Template, name: str) -> None:
        self._setting = setting
        self._source = source
        self._name = name
        self.left: list[bool] = []

    @contextmanager
    def __call__(self) -> Iterator[Guest]:
        with clone(self._source, self._setting.image) as guest:
            yield guest
            self.left.append(f"{self._name} " in guest.command("cat /proc/modules").decode())


def test_lives_share_a_guest_until_one_leaves_something_behind(
    place: Place,
    built: Path,
) -> None:
    points = [Where(1), Where(2), Where(1), Where(1, after=True)]
    with TemporaryDirectory() as scratch:
        for name, guests in (("fail_clean", 1), ("fail_leak", 2)):
            plan = prepared(name, place, built, scratch).plan
            make = Guests(*place, name)
            led = list(lead_each(make, plan, Supply([*points[:2], points[3]]), 30))
            assert [one.where for one in led] == [*points[:2], points[3]]
            # Nothing of the module is there, whatever failed.
            assert make.left == [False] * guests
            assert all(one.evidence.run.over for one in led)
            assert all(not one.evidence.doubts for one in led)


def test_a_life_that_is_led_again_tells_the_same(place: Place, built: Path) -> None:
    """Evidence of a life in a guest that had others: as good as that of the first."""
    alone = failures("fail_double_free", place, built, Each(only=Where(2))).points.points[0]
    among = failures("fail_double_free", place, built, Each()).points.points[1]
    assert (alone.outcome, alone.detail) == (among.outcome, among.detail)


def test_what_a_life_left_is_read_while_the_guest_runs_as_when_it_stands(
    place: Place, built: Path
) -> None:
    """Of one that left something behind, or with no way past QMP, it takes a look."""
    setting, source = place
    with TemporaryDirectory() as scratch, clone(source, setting.image) as guest:
        make_ready(guest, prepared("fail_leak", place, built, scratch).plan)
        with at_a_glance(guest) as running:
            before = guest.header()
            guest.ask("lead fail=99")
            seen = glance(running, before)
            assert seen is not None
            still = look(guest, before)
            assert (seen.data, seen.doubts) == (still.data, still.doubts)
            extents = memory.wanted(seen.run, before.page_offset).extents
            assert extents
            assert seen.memory is not None
            assert still.memory is not None
            for one in extents:
                data = still.memory.snapshot.read(one.gpa, one.size)
                assert seen.memory.snapshot.read(one.gpa, one.size) == data
            assert glance(None, before) is None
            guest.settle()
            before = guest.header()
            guest.ask("lead fail=2")
            assert glance(running, before) is None
            assert not untouched(look(guest, before).run)
