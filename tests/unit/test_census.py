"""A census: what its tasks are, who is led together, and what its reports tell."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from freeonce.audit.life import Life, Stage, Target
from freeonce.audit.model import Verdict
from freeonce.audit.result import NOTHING, Evidence
from freeonce.campaign import bases
from freeonce.campaign.census import by_host
from freeonce.campaign.outcome import Outcome
from freeonce.campaign.store import reading, writing
from freeonce.campaign.task import Base, Task, census_tasks
from freeonce.cli import census as verb
from freeonce.errors import CommandFailed, EvidenceError, GuestLost, Loss, Obstacle, SubjectError
from freeonce.evidence.ledger import Phase, Type
from freeonce.report.census import (
    NOT_YET,
    Came,
    Sweep,
    census_document,
    census_page,
    every_name,
    module,
    summary,
)
from freeonce.report.excused import NONE, Excuses, Suppression
from freeonce.report.identity import Named
from freeonce.run import together
from freeonce.run.life import Load, Plan
from freeonce.run.lives import Led
from freeonce.run.prepare import Prepared
from tests.unit.history import run

HOST = {"qemu": "7.2", "accelerator": "tcg", "kernel": "6.1", "reason": "", "rust": ""}


def life(**said: Any) -> dict[str, Any]:
    """A document as `report/life.py` makes it, as far as a census reads it."""
    plain = {
        "name": "brd",
        "verdict": "clean",
        "reasons": [],
        "doubts": [],
        "acquired": 2,
        "released": 2,
        "by_family": {"slab": {"acquired": 2, "released": 2}},
        "not_audited": {"calls": 1, "functions": ["add_disk"]},
        "findings": [],
        "seconds": 1.0,
        "phase": "judge",
        "loss": None,
    }
    return plain | said


def stopped(reason: Obstacle, message: str) -> dict[str, Any]:
    told = {"reason": str(reason), "message": message}
    return life(verdict="incomplete", reasons=[told], doubts=[message])


@pytest.mark.parametrize(
    ("document", "came", "error"),
    [
        (life(), Came.CLEAN, ""),
        (life(verdict="faulty"), Came.FAULTY, ""),
        (life(verdict="incomplete", doubts=["the books were full"]), Came.UNKNOWN, ""),
        (
            stopped(
                Obstacle.DOES_NOT_LOAD, "x does not load: No such device or address\n[1] No data"
            ),
            Came.REFUSED,
            "ENXIO",
        ),
        (
            stopped(Obstacle.DOES_NOT_LOAD, "x does not load: No such device"),
            Came.REFUSED,
            "ENODEV",
        ),
        (
            stopped(Obstacle.DOES_NOT_LOAD, "the dependency y does not load: No such device"),
            Came.DEPENDENCY,
            "ENODEV",
        ),
        (
            stopped(Obstacle.DOES_NOT_LOAD, "x is loaded already: the guest itself needs it"),
            Came.THERE,
            "",
        ),
        (
            stopped(Obstacle.DOES_NOT_LOAD, "x does not load: Odd\nthe y is loaded already: the"),
            Came.REFUSED,
            "",
        ),
        (
            stopped(Obstacle.DOES_NOT_LOAD, "No data available does not load: No such device"),
            Came.REFUSED,
            "ENODEV",
        ),
        (stopped(Obstacle.DOES_NOT_UNLOAD, "x does not unload"), Came.STAYS, ""),
        (stopped(Obstacle.HANGS_IN_INIT, "x: does not return"), Came.LOST, ""),
        (stopped(Obstacle.GUEST_LOST, "the guest was lost"), Came.LOST, ""),
        (stopped(Obstacle.GUEST_LOST, "an oops") | {"loss": "oops"}, Came.CRASHED, ""),
        (stopped(Obstacle.NOT_QUIET, "not quiet"), Came.UNKNOWN, ""),
        (stopped(Obstacle.NO_SYMBOLS, "stripped"), Came.UNREAD, ""),
    ],
)
def test_how_far_a_module_came_is_a_word(document: dict[str, Any], came: Came, error: str) -> None:
    found = module(document)
    assert (found.came, found.error) == (came, error)
    assert bool(found.message) == (came not in (Came.CLEAN, Came.FAULTY))


CRASHED = Named("crashed", "", "brd", "brd_init", "0123")
LEAK = {
    "rule": "leak",
    "family": "slab",
    "module": "brd",
    "function": "brd_init.cold",
    "identity": "4567",
    "message": "never released",
    "count": 1,
}


def failures() -> dict[str, Any]:
    points = [
        {"number": 1, "after": False, "outcome": "handled", "detail": "", "named": []},
        {
            "number": 2,
            "after": False,
            "outcome": "crashed",
            "detail": "BUG: <b>x</b>",
            "named": [asdict(CRASHED)],
        },
    ]
    return life(failures={"counted": 5, "points": points, "unled": None, "sampled": []})


def test_failures_of_its_load_are_counted_and_those_not_handled_told() -> None:
    found = module(life(), failures())
    assert (found.counted, found.points) == (5, {"handled": 1, "crashed": 1})
    assert [one["number"] for one in found.unhandled] == [2]
    said = summary([found, module(life(verdict="faulty"))], 3)
    assert said == "2 of 3 modules: 1 clean, 1 faulty; 2 failure points: 1 handled, 1 crashed"


def swept(**said: Any) -> dict[str, Any]:
    return failures() | {"failures": failures()["failures"] | {"points": [], **said}}


@pytest.mark.parametrize(
    ("second", "sweep", "why"),
    [
        (swept(), Sweep.LED, ""),
        (swept(sampled=[{"made": 9, "led": 3}, {"made": 4, "led": 3}]), Sweep.SAMPLED, ""),
        (swept(unled="the run without failures is not clean"), Sweep.UNLED, "the run without"),
        (stopped(Obstacle.GUEST_LOST, "no room"), Sweep.UNLED, "no room"),
        (life(verdict="incomplete", doubts=["torn"]), Sweep.UNLED, "torn"),
        (None, Sweep.UNLED, NOT_YET),
    ],
)
def test_whether_failures_were_led_is_a_word_and_decides(
    second: dict[str, Any] | None, sweep: Sweep, why: str
) -> None:
    found = module(life(), second, asked=True)
    assert found.sweep is sweep
    assert found.unled.startswith(why)
    assert bool(found.unled) == found.incomplete == (sweep is Sweep.UNLED)
    assert found.left_out == (7 if sweep is Sweep.SAMPLED else 0)
    page = census_page(HOST, [found], 1)
    assert found.unled in page
    assert ("7 of 5 left out" in page) == (sweep is Sweep.SAMPLED)
    said = {Sweep.UNLED: "; 1 modules not run with failures", Sweep.SAMPLED: "; 1 modules sampled"}
    assert summary([found], 1).endswith(said.get(sweep, "1 clean"))


def test_what_the_second_life_came_to_counts() -> None:
    second = swept(unled="not clean") | {"verdict": "faulty", "findings": [LEAK]}
    found = module(life(), second)
    assert (found.came, [one["rule"] for one in found.findings]) == (Came.FAULTY, ["leak"])
    assert found.wrong
    assert len(module(life(findings=[LEAK], verdict="faulty"), second).findings) == 1
    crashed = module(life(), stopped(Obstacle.GUEST_LOST, "BUG: x") | {"loss": "panic"})
    assert (crashed.came, crashed.message, crashed.wrong) == (Came.CRASHED, "BUG: x", True)


@pytest.mark.parametrize(
    ("came", "incomplete", "wrong"),
    [
        (life(), False, False),
        (stopped(Obstacle.GUEST_LOST, "gone"), True, False),
        (life(verdict="incomplete"), True, False),
        (stopped(Obstacle.GUEST_LOST, "an oops") | {"loss": "oops"}, False, True),
        (stopped(Obstacle.DOES_NOT_LOAD, "x does not load: No such device"), False, False),
    ],
)
def test_what_was_not_seen_is_incomplete_and_what_was_found_is_wrong(
    came: dict[str, Any], incomplete: bool, wrong: bool
) -> None:
    found = module(came)
    assert (found.incomplete, found.wrong) == (incomplete, wrong)


@pytest.mark.parametrize("outcome", ["unknown", "unreached"])
def test_a_point_of_which_nothing_is_known_is_incomplete_and_no_finding(outcome: str) -> None:
    point = {"number": 1, "after": False, "outcome": outcome, "detail": "", "named": []}
    found = module(life(), swept(points=[point]))
    assert (found.incomplete, found.wrong) == (True, False)


def test_a_leak_of_a_module_that_refuses_is_counted() -> None:
    refused = stopped(Obstacle.DOES_NOT_LOAD, "x does not load: No such device")
    found = module(refused | {"findings": [LEAK]})
    assert summary([found], 1) == "1 of 1 modules: 1 refused; 1 findings"


def test_what_only_the_host_lacked_is_no_result() -> None:
    lost = stopped(Obstacle.GUEST_LOST, "gone")
    point = {"loss": None, "reasons": ["no guest could be started: no room"]}
    lacked = [lost | {"phase": "boot"}, life(loss=Loss.QEMU), swept(points=[point])]
    own = [life(), lost | {"loss": Loss.OOPS}, lost, swept(points=[point | {"reasons": ["torn"]}])]
    assert [by_host(one) for one in (*lacked, *own)] == [True] * 3 + [False] * 4


def test_what_is_suppressed_does_not_count_and_is_told() -> None:
    excuses = Excuses(
        (Suppression("leak", "a debt", function="brd_init"),), baseline=frozenset({"0123"})
    )
    faulty = life(verdict="faulty", findings=[LEAK])
    plain, excused = (module(faulty, failures(), one) for one in (NONE, excuses))
    assert (plain.wrong, plain.suppressed) == (True, 0)
    assert (excused.wrong, excused.suppressed) == (False, 2)
    assert summary([excused], 1).endswith("; 2 suppressed")
    assert "suppressed: a debt" in census_page(HOST, [excused], 1)
    assert not excuses.unused(every_name([excused]))
    assert excuses.unused(every_name([module(life())])) == excuses.suppressions


def test_the_page_names_every_module_and_shows_nothing_hostile() -> None:
    hostile = stopped(Obstacle.GUEST_LOST, "<script>alert(1)</script>")
    found = [module(life(), failures()), module(hostile | {"name": "zram"})]
    page = census_page(HOST, found, 2)
    assert not [markup for markup in ("<script>", "<b>x</b>") if markup in page]
    assert not [one for one in ("alert(1)", "brd", "zram", "add_disk") if one not in page]
    document = census_document(HOST, found, 2)
    assert document["counts"]["clean"] == document["counts"]["lost"] == 1  # type: ignore[index]


def test_a_key_is_of_the_file_and_of_what_is_led() -> None:
    files = {"brd": Path("brd.ko"), "nbd": Path("nbd.ko")}

    def keys(digest: str, *limit: int) -> list[str]:
        base = Base(
            *("image", "package", "harness", "7.2.22", lambda _: "tcg", tuple, lambda: files),
            is_path=lambda _: False,
            digest=lambda path: digest + path,
            subject=str,
            libraries=lambda *_: {},
            tools=lambda _: {},
            folder="/here",
        )
        return [one.key for one in census_tasks(base, ["brd", "nbd"], *limit)]

    assert keys("a") == keys("a")
    every = [*keys("a"), *keys("b"), *keys("a", 3), *keys("a", 4)]
    assert len(set(every)) == len(every)


def prepared(name: str) -> Prepared:
    target = Target(name, name, "6.1", (), (), has_debug_info=False)
    return Prepared(Plan((Load(name, b"", subject=True),)), (target,), (), ())


def evidence(*phases: Phase) -> Evidence:
    history = run()
    for one in phases:
        history.add(Type.PHASE, serial=1, detail=int(one))
    return Evidence(history.end().records())


class _Judged:
    """Who is found clean, whatever the evidence."""

    def __init__(self, *clean: str) -> None:
        self._clean = clean

    def __call__(self, name: str, _: object, given: Evidence, __: float) -> Any:
        verdict = Verdict.CLEAN if name in self._clean else Verdict.FAULTY
        return SimpleNamespace(judgement=SimpleNamespace(verdict=verdict), evidence=given)


def led(
    monkeypatch: pytest.MonkeyPatch,
    *many: Prepared,
    clean: tuple[str, ...],
    broken_off: Exception | None = None,
) -> Any:
    """`broken_off`: by which guests for many end after the first life."""
    whole = evidence(Phase.COMING, Phase.LIVE, Phase.GOING, Phase.GONE)
    refused = evidence(Phase.COMING, Phase.INIT_FAILED, Phase.GONE)

    def turns(_: Any, __: Any, ___: Any, given: Any, ____: Any) -> Iterator[Any]:
        for one in given.take(1 if broken_off else len(many)):
            name = one.prepared.targets[0].name
            said = "WARNING: x" if name == "warned" else ""
            yield Led(one, refused if name == "refused" else whole, said)
        given.done(1 if broken_off else len(many))
        if broken_off is not None:
            raise broken_off

    alone: list[str] = []

    def audit(_: Any, __: Any, one: Prepared) -> Any:
        alone.append(one.targets[0].name)
        if one.targets[0].name == "lost":
            raise GuestLost("gone")
        return replace(LIFE, targets=one.targets)

    monkeypatch.setattr(together, "lead_turns", turns)
    monkeypatch.setattr(together, "conclude_led", _Judged(*clean))
    monkeypatch.setattr(together, "audit", audit)
    setting: Any = SimpleNamespace(image=None)
    source: Any = nullcontext()
    return list(together.lives_of(setting, source, many)), alone


LIFE = Life((), Stage.LOAD, (), (), SimpleNamespace(evidence=Evidence(NOTHING)))  # type: ignore[arg-type]


def test_only_what_is_clean_is_told_of_a_life_among_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("fine", "faulty", "refused", "warned", "lost")
    told, alone = led(monkeypatch, *map(prepared, names), clean=("fine", "refused", "warned"))
    assert [one.targets[0].name for one, _ in told if one.targets[0].name not in alone] == ["fine"]
    assert sorted(alone) == ["faulty", "lost", "refused", "warned"]
    by_name = {one.targets[0].name: life for one, life in told}
    assert by_name["fine"].stage is Stage.JUDGE
    assert by_name["lost"].reasons[0].obstacle is Obstacle.GUEST_LOST


@pytest.mark.parametrize(
    "error", [CommandFailed("no room"), EvidenceError("x"), SubjectError(Obstacle.DAMAGED, "x")]
)
def test_where_no_guest_can_be_prepared_for_many_each_is_led_alone(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, alone = led(monkeypatch, *map(prepared, "abc"), clean=("a",), broken_off=error)
    assert [one.targets[0].name for one, _ in told] == ["a", "b", "c"]
    assert alone == ["b", "c"]


class _Census:
    """The verb with a package of these modules, and a machine that is ended after the first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.folder = folder
        self.led: list[list[str]] = []
        (folder / "x.ko").write_bytes(b"")
        files = dict.fromkeys(("brd", "nbd"), folder / "x.ko")
        package = folder / "package"
        package.mkdir()
        image = SimpleNamespace(
            manifest=folder / "x.ko", modules=package, headers=package, headers_source=None
        )
        qemu = SimpleNamespace(version="7.2.22")
        setting = SimpleNamespace(image=image, qemu=qemu, document=lambda: HOST)
        tcg = SimpleNamespace(name="tcg")
        monkeypatch.setattr(bases, "choose_accelerator", lambda *_: tcg)
        monkeypatch.setattr(verb, "find_setting", lambda *_, **__: setting)
        monkeypatch.setattr(bases, "Package", lambda _: SimpleNamespace(files=files))
        monkeypatch.setattr(verb, "ready", lambda _: nullcontext((setting, None)))
        monkeypatch.setattr(verb, "lead", self._lead)

    def _lead(self, _: Any, __: Any, chosen: Any) -> Iterator[Any]:
        self.led.append([task.name for task in chosen])
        yield chosen[0], Outcome("clean", True, 1.0, "here:1", life(name=chosen[0].name))
        raise KeyboardInterrupt

    def __call__(self, *more: str) -> list[str]:
        arguments = ["--store", str(self.folder / "store"), "--json", str(self.folder / "x.json")]
        self.status = CliRunner().invoke(verb.census, [*arguments, *more]).exit_code
        document = json.loads((self.folder / "x.json").read_text())
        return [one["name"] for one in document["modules"]]


def test_a_census_that_is_ended_tells_what_it_led_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    census = _Census(monkeypatch, tmp_path)
    assert [census(), census()] == [["brd"], ["brd", "nbd"]]
    assert census.led == [["brd", "nbd"], ["nbd"]]
    # Of a campaign's results each tells what ran it; so does each of these.
    with reading(tmp_path / "store") as store:
        assert [one.document["host"] for one in store.results()] == [HOST, HOST]
    # What was not led again is what it was.
    assert census("--again") == ["brd", "nbd"]
    assert census.led[2:] == [["brd", "nbd"]]


@pytest.mark.parametrize(
    ("told", "by_host", "status", "led_again"),
    [
        (life(), False, 0, False),
        (life(verdict="faulty", findings=[LEAK]), False, 1, False),
        (life(verdict="incomplete"), False, 4, False),
        (stopped(Obstacle.GUEST_LOST, "gone"), True, 4, True),
    ],
)
def test_its_exit_status_is_that_of_an_audit_and_what_the_host_lacked_is_led_again(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    told: dict[str, Any],
    by_host: bool,
    status: int,
    led_again: bool,
) -> None:
    census = _Census(monkeypatch, tmp_path)
    led: list[str] = []

    def lead(_: Any, __: Any, chosen: Any) -> Iterator[Any]:
        for task in chosen:
            led.append(task.name)
            document = told | {"name": task.name}
            yield task, Outcome(told["verdict"], True, 1.0, "x", document, by_host=by_host)

    monkeypatch.setattr(verb, "lead", lead)
    assert (census("brd"), census.status) == (["brd"], status)
    census("brd")
    assert led == ["brd"] * (2 if led_again else 1)


def test_a_census_on_a_campaigns_store_leaves_its_results_current_and_no_old_ones_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    census = _Census(monkeypatch, tmp_path)
    campaigns = Task("c", "c/pool", {"kind": "scenario", "name": "c/pool", "number": 0})
    with writing(tmp_path / "store") as store:
        store.plan([campaigns])
        store.add(campaigns, Outcome("clean", True, 1.0, "x", {}))

    def lead(_: Any, __: Any, chosen: Any) -> Iterator[Any]:
        for task in chosen:
            yield task, Outcome("clean", True, 1.0, "x", life(name=task.name))

    def current() -> list[str]:
        with reading(tmp_path / "store") as store:
            assert not store.awaited()
            return sorted(f"{one.kind} {one.name}" for one in store.results(current=True))

    monkeypatch.setattr(verb, "lead", lead)
    census("brd", "--fail-each")
    census("nbd")
    both = ["census brd", "census nbd", "census-failures brd", "scenario c/pool"]
    assert current() == both
    # By another image, and without failures: what the old one found with them is of before.
    (tmp_path / "x.ko").write_bytes(b"another")
    census("brd")
    assert current() == ["census brd", "census nbd", "scenario c/pool"]
    with reading(tmp_path / "store") as store:
        assert store.of_before() == 2


def test_a_sweep_that_could_not_be_led_is_incomplete(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    census = _Census(monkeypatch, tmp_path)

    def lead(_: Any, __: Any, chosen: Any) -> Iterator[Any]:
        for task in chosen:
            came = stopped(Obstacle.GUEST_LOST, "gone") if "limit" in task.body else life()
            yield task, Outcome("x", True, 1.0, "x", came | {"name": task.name})

    monkeypatch.setattr(verb, "lead", lead)
    assert (census("brd"), census.status) == (["brd"], 0)
    assert (census("brd", "--fail-each"), census.status) == (["brd"], 4)
