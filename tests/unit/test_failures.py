"""Failure points and the matrix of planted faults: counted from what runs left behind."""

import errno
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import pytest
from junitparser import JUnitXml
from rich.console import Console

from freeonce.audit.attempts import Each, Where, all_told, attempts
from freeonce.audit.faults import planted, rate
from freeonce.audit.model import Account, Asked, Rule, Verdict
from freeonce.audit.points import Outcome, Point, Points, passed, point, renumbered, sites_of
from freeonce.audit.result import Evidence, Result
from freeonce.cli.compare import ABSENT, differing, print_comparison, signature
from freeonce.errors import Loss, UsageError
from freeonce.evidence.ledger import Flag, Kind, Phase, Type
from freeonce.evidence.scenarios import Expectation, Scenario
from freeonce.report.failures import failures_document, print_failures, summary
from freeonce.report.junit import junit_text
from freeonce.report.places import Everywhere
from freeonce.report.sarif import sarif_text
from freeonce.run.conclude import conclude, exit_status
from freeonce.run.failures import Plain, chosen_for_failures, run_each, sweep
from freeonce.run.task import Options, Task
from freeonce.subject.places import Frame, Place
from tests.unit.history import History, run

A, B = 0x1000, 0x9000
NAME = "test/scenario"


def result(history: History, loss: Loss | None = None) -> Result:
    scenario = Scenario(0, NAME, "S", "Rust", None, "L.", ())
    doubts = ("the guest was lost",) if loss else ()
    evidence = Evidence(history.records(), history.memory(), doubts, Account.AGREE, loss)
    return conclude(scenario, evidence, 0.1)


def failed(
    history: History, error: int = errno.ENOMEM, injected: bool = True, site: int = 0x40
) -> History:
    flags = int(Flag.INJECTED) if injected else 0
    return history.add(Type.ALLOCATE_FAILED, detail=-error & 0xFFFF_FFFF, flags=flags, site=site)


HANDLED = result(failed(run().allocate(1, A)).release(1, A).end(-errno.ENOMEM).settle())
LEAKS = result(failed(run().allocate(1, A).text(Type.LABEL, "foo", serial=1)).end().settle())


def outcome(history: History, loss: Loss | None = None) -> Outcome:
    return point(Where(1), result(history, loss)).outcome


@pytest.mark.parametrize("status", [0, -errno.ENOMEM])
def test_a_failure_after_which_everything_went_back_is_handled(status: int) -> None:
    history = failed(run().allocate(1, A)).release(1, A).end(status).settle()
    found = point(Where(3, after=True), result(history))
    assert found == Point(NAME, 3, True, Outcome.HANDLED, 0x40, "", found.result)


def test_a_failure_that_leaks_leaks() -> None:
    assert outcome(failed(run().allocate(1, A)).end(-errno.ENOMEM).settle()) is Outcome.LEAKED


def test_a_failure_that_breaks_another_rule_is_faulty() -> None:
    history = failed(run()).release(0, 0, withheld=True).end(-errno.ENOMEM).settle()
    assert outcome(history) is Outcome.FAULTY


def test_a_failure_that_loses_the_guest_crashes() -> None:
    assert outcome(failed(run()), Loss.RUST_PANIC) is Outcome.CRASHED


def test_evidence_that_is_incomplete_is_not_handled() -> None:
    assert outcome(failed(run()).end()) is Outcome.UNKNOWN


def test_an_allocation_that_was_never_made_is_unreached() -> None:
    assert outcome(run().end().settle()) is Outcome.UNREACHED


def test_an_allocation_that_failed_by_itself_is_not_the_one_that_was_asked_for() -> None:
    history = failed(run(), errno.EINVAL, injected=False).end(-errno.EINVAL).settle()
    one = point(Where(1), result(history))
    assert (one.outcome, one.site) == (Outcome.UNREACHED, 0)


def test_where_more_fail_the_first_is_the_point() -> None:
    history = failed(failed(run().stack(0x40, 0x1000).stack(0x41, 0x2000)), site=0x41)
    one = point(Where(1, after=True), result(history.end(-errno.ENOMEM).settle()))
    assert one.site == 0x40
    # And of the two the only one that keeps its place.
    assert list(one.result.evidence.told.stacks) == [0x40]


def of_loss(history: History, loss: Loss, reason: str) -> Point:
    lost = result(history, loss)
    return point(Where(1), replace(lost, judgement=replace(lost.judgement, reasons=(reason,))))


def test_the_detail_is_what_the_kernel_said_first_or_what_hung_or_all_the_reasons() -> None:
    oops = "the guest was lost:\nguest: [ 1.0] BUG: unable to handle page fault\nguest: more"
    crashed = of_loss(failed(run()), Loss.OOPS, oops)
    assert crashed.detail == "BUG: unable to handle page fault"
    assert of_loss(failed(run()), Loss.RESET, "a triple fault").detail == "a triple fault"
    busy = failed(run().text(Type.SUBJECT, "m", serial=1))
    busy.add(Type.PHASE, serial=1, detail=int(Phase.LIVE))
    assert of_loss(busy, Loss.HANG, "no answer").detail == "what is done to m does not end"
    assert of_loss(failed(run()), Loss.HANG, "no answer").detail == "no answer"
    unreached = point(Where(2), result(run().end().settle()))
    assert unreached.detail == "acquisition 2 should have failed, but was not made"


def test_a_point_has_its_stacks_by_other_numbers_and_0_where_there_is_none() -> None:
    (finding,) = LEAKS.judgement.findings
    for sites, new, named in (
        ((1, 0, 0), (7, 0, 0), {1, 0x40}),
        ((0, 2, 0), (0, 8, 0), {2, 0x40}),
        ((0, 0, 3), (0, 0, 0), {3, 0x40}),
    ):
        site, allocated, released = sites
        of_these = replace(finding, site=site, allocated_site=allocated, released_site=released)
        judgement = replace(LEAKS.judgement, findings=(of_these,))
        one = point(Where(2), replace(LEAKS, judgement=judgement))
        assert sites_of(one) == named
        again = renumbered(one, {1: 7, 2: 8, 0x40: 9})
        assert again.site == 9
        (told,) = again.result.judgement.findings
        assert (told.site, told.allocated_site, told.released_site) == new


def test_a_point_is_what_became_of_its_run_and_not_the_run() -> None:
    one = point(Where(1), HANDLED)
    other = replace(one, result=LEAKS)
    assert other == one
    assert repr(other) == repr(one)


def attempt(history: History, number: int) -> History:
    return history.add(Type.ATTEMPT, serial=number, kind=1, site=0x40 + number)


def counted(history: History, *numbers: int) -> History:
    for number in numbers:
        attempt(history, number)
    return history


@pytest.mark.parametrize(
    ("numbers", "whole"), [((1, 2, 3), True), ((1, 3), False), ((2,), False), ((), False)]
)
def test_an_acquisition_that_was_not_told_leaves_nothing_to_hold_failures_against(
    numbers: tuple[int, ...], whole: bool
) -> None:
    """Else a point would be missing, or all of them, and nobody would know."""
    history = counted(run(), *numbers).allocate(1, A).release(1, A).end().settle()
    records = history.records()
    assert all_told(attempts(records), records) is whole


def test_who_acquires_nothing_has_nothing_to_tell() -> None:
    history = run().kernel(Type.ALLOCATE, pointer=A, size=64, kind=int(Kind.POOL))
    records = history.end().settle().records()
    assert all_told(attempts(records), records)


def test_what_can_fail_is_counted() -> None:
    """As the instrument numbers it: what it refuses is not asked for, and has no number."""
    history = counted(run(), 1, 2, 2, 3)
    failed(history, errno.EINVAL, injected=False)
    found = attempts(history.end().settle().records())
    assert [(one.number, one.stage, one.site) for one in found] == [
        *((1, None, 0x41), (2, None, 0x42), (3, None, 0x43)),
    ]


def test_a_plain_run_that_went_wrong_has_no_points() -> None:
    leaky = result(counted(run(), 1).allocate(1, A).end().settle())
    crew = Told(count=leaky)
    (found,) = run_each(crew, crew.scenarios()[:1], Options())
    assert (crew.asked, found.points) == (["count"], ())
    assert not passed([found])


def test_a_guest_that_hangs_is_no_guest_that_crashes() -> None:
    assert outcome(failed(run()), Loss.HANG) is Outcome.HUNG
    assert outcome(failed(run()), Loss.QEMU) is Outcome.UNKNOWN


def test_a_second_release_has_a_name_of_its_own() -> None:
    history = failed(run().allocate(1, A)).release(1, A).release(1, A, withheld=True)
    assert outcome(history.end(-errno.ENOMEM).settle()) is Outcome.RELEASED_TWICE


def test_what_is_found_in_doubtful_evidence_is_not_known() -> None:
    """A leak may be a release whose record is missing."""
    doubted = replace(LEAKS, judgement=replace(LEAKS.judgement, reasons=("the accounts disagree",)))
    one = point(Where(2), doubted)
    assert (one.outcome, one.result.judgement.verdict) == (Outcome.UNKNOWN, Verdict.INCOMPLETE)
    assert one.detail == "the accounts disagree; leak"


def test_an_allocation_that_was_not_made_proves_nothing() -> None:
    """Where nothing was injected at all, every point would pass."""
    plain = result(run().allocate(1, A).release(1, A).end().settle())
    never = [point(Where(number), plain) for number in (1, 2)]
    assert [one.outcome for one in never] == [Outcome.UNREACHED] * 2
    assert [one.result.as_expected for one in never] == [False, False]
    assert [one.result.judgement.reasons for one in never] == [
        (f"acquisition {number} should have failed, but was not made",) for number in (1, 2)
    ]
    assert not passed([Points(plain, tuple(never))])
    assert exit_status([one.result for one in never]) == 4


LOST = result(failed(run()), Loss.OOPS)


@pytest.mark.parametrize(
    ("found", "status"), [(HANDLED, 0), (LEAKS, 1), (LOST, 4), (result(failed(run()).end()), 4)]
)
def test_a_point_ends_with_the_status_that_the_page_tells(found: Result, status: int) -> None:
    one = point(Where(2, after=True), found)
    assert one.result.scenario.name == f"{NAME} fail=2+"
    assert exit_status([one.result]) == status


def printed(*points: Point) -> str:
    output = io.StringIO()
    plain = result(run().end().settle())
    console = Console(file=output, width=80, highlight=False)
    places = Everywhere(otherwise={0x40: Place(Frame("f", None, "freeonce", "guest/x.c", 7), ())})
    print_failures(console, [Points(plain, points)], places=places)
    return output.getvalue()


def test_a_point_that_was_not_handled_is_told_with_what_where_and_why() -> None:
    said = printed(
        point(Where(2, after=True), LEAKS), point(Where(3), LOST), point(Where(4), HANDLED)
    )
    assert said.splitlines()[0] == f"{NAME}: 1 handled, 1 leaked, 1 crashed"
    told = "allocation 2 and everything after it failed at guest/x.c:7: leaked"
    assert told in said
    assert "leak: `foo`, 64 bytes pool, never released" in said
    assert f"again: freeonce run --fail-at 2+ {NAME}" in said
    assert "the guest was lost" in said
    assert "allocation 4" not in said


def test_a_name_is_not_broken() -> None:
    name = "allocated_memory/a_very_long_name_of_a_scenario/that_goes_on_and_on_and_on/for_ever"
    longer = replace(HANDLED, scenario=replace(HANDLED.scenario, name=name))
    output = io.StringIO()
    console = Console(file=output, width=80, highlight=False)
    print_failures(console, [Points(longer, (point(Where(1), longer),))])
    assert name in output.getvalue()


def test_failure_points_are_cases_of_junit_and_results_of_sarif() -> None:
    points = Points(
        result(run().end().settle()), (point(Where(2, after=True), LEAKS), point(Where(3), LOST))
    )
    (suite,) = JUnitXml.fromstring(junit_text(points.results).encode())
    cases = {case.name: case.result for case in suite}
    assert list(cases) == ["scenario", "scenario fail=2+", "scenario fail=3"]
    assert [type(one).__name__ for one in cases["scenario fail=2+"]] == ["Failure"]
    assert [type(one).__name__ for one in cases["scenario fail=3"]] == ["Error"]
    (log,) = json.loads(sarif_text(points.results))["runs"]
    assert [one["properties"]["scenario"] for one in log["results"]] == [f"{NAME} fail=2+"]
    assert log["invocations"][0]["executionSuccessful"] is False


class _Leader:
    """Of a life with these acquisitions, whose failures are led in the other order."""

    def __init__(self, *numbers: int) -> None:
        records = counted(run(), *numbers).end().settle()
        self._plain = Plain(result(records), attempts(records.records()))

    def plain(self) -> Plain:
        return self._plain

    def failing(self, points: Sequence[Where]) -> Iterator[Point]:
        return (point(where, HANDLED) for where in reversed(points))


def test_what_is_led_so_far_is_made_only_for_who_asks() -> None:
    told: list[tuple[Callable[[], Points], int, int]] = []
    asked = []

    def done(so_far: Callable[[], Points], led: int, of: int) -> None:
        told.append((so_far, led, of))
        if led == 2:
            asked.append([one.number for one in so_far().points])

    whole = sweep(_Leader(1, 2, 3), Each(), done)
    assert [(led, of) for _, led, of in told] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert asked == [[2, 3]]
    assert [one.number for one in whole.points] == [1, 2, 3]


class Told:
    """A crew whose scenarios come to what they are told to, by the words they are run with."""

    def __init__(self, **results: Result) -> None:
        self.asked: list[str] = []
        self._results = results

    def scenarios(self) -> tuple[Scenario, ...]:
        return (LEAKS.scenario, Scenario(1, "fault/leak/pool/c", "S", "C", None, "L.", (LEAK,)))

    def run(self, tasks: Iterable[Task], _: object) -> Iterator[Result]:
        for task in tasks:
            self.asked.append(task.options.command)
            yield self._results[task.options.command]


LEAK = Expectation("leak", "pool")
PLAIN = result(
    counted(run(), 1, 2).allocate(1, A).release(1, A).allocate(2, B).release(2, B).end().settle()
)


def test_each_allocation_fails_alone_and_with_all_after_it() -> None:
    handled = {f"fail={point}": HANDLED for point in ("1", "1+", "2", "2+")}
    crew = Told(count=PLAIN, **handled)
    (found,) = run_each(crew, crew.scenarios()[:1], Options())
    assert crew.asked == ["count", "fail=1", "fail=1+", "fail=2", "fail=2+"]
    assert [one.name for one in found.points] == ["1", "1+", "2", "2+"]


def test_one_point_is_run_again() -> None:
    crew = Told(count=PLAIN, **{"fail=2+": LEAKS})
    (found,) = run_each(crew, crew.scenarios()[:1], Options(), Each(only=Where(2, after=True)))
    assert crew.asked == ["count", "fail=2+"]
    assert [one.outcome for one in found.points] == [Outcome.LEAKED]
    with pytest.raises(UsageError, match="makes 2 allocations, so there is none with number 3"):
        list(run_each(crew, crew.scenarios()[:1], Options(), Each(only=Where(3))))


def test_planted_faults_run_beside_failures() -> None:
    scenarios = Told().scenarios()
    assert chosen_for_failures(scenarios, (), Options()) == (scenarios[:1], scenarios[1:])
    assert chosen_for_failures(scenarios, (), Options(faults=False)) == (scenarios[:1], ())
    assert chosen_for_failures(scenarios, ("fault/*",), Options()) == (scenarios[1:], ())


def test_the_summary_counts_points_and_outcomes() -> None:
    clean = result(run().end().settle())
    points = tuple(
        point(Where(number), one)
        for number, one in enumerate([HANDLED, LEAKS, result(run().end().settle())], 1)
    )
    said = summary([Points(clean, points)])
    assert said.startswith("3 failure points, 2 reached: 1 handled, 1 leaked, ")
    assert not passed([Points(clean, points)])
    assert passed([Points(clean, points[:1])])
    # One that was not made, and none that was made to fail at all.
    assert not passed([Points(clean, points[:1] + points[2:])])
    unled = Points(clean, (), unled="the run without failures is not clean")
    assert (unled.counted, passed([unled])) == (0, False)
    document = failures_document({}, [Points(clean, points)])
    assert document["ok"] is False


def fault(history: History, rule: str, count: int = 1) -> Result:
    expected = (Expectation(rule, "pool"),) * count
    scenario = Scenario(0, NAME, "S", "C", None, "L.", expected)
    evidence = Evidence(history.records(), history.memory(), (), Account.AGREE)
    done = conclude(scenario, evidence, 0.1)
    return replace(done, scenario=replace(scenario, name=f"fault/{rule}/pool/c"))


@pytest.mark.parametrize("cpus", [1, 2])
def test_what_could_not_happen_was_neither_caught_nor_missed(cpus: int) -> None:
    """With fewer CPUs than it declares. One that declares nothing of the kind was missed."""
    history = run().text(Type.UNSUPPORTED, "2 CPUs").end().settle()
    evidence = Evidence(history.records(), history.memory(), (), Account.AGREE, asked=Asked(1))
    leak = (Expectation("leak", "pool"),)
    scenario = Scenario(0, NAME, "S", "C", None, "L.", leak, cpus=cpus)
    done = conclude(scenario, evidence, 0.1)
    found = planted([replace(done, scenario=replace(scenario, name="fault/leak/pool/c"))])
    assert [one.caught for one in found] == ([] if cpus == 2 else [False])


def test_the_matrix_says_who_caught_what_and_when() -> None:
    leak = fault(run().allocate(1, A).end().settle(), "leak")
    missed = fault(run().end().settle(), "double-free")
    null = fault(run().release(0, 0, withheld=True).end().settle(), "null-free")
    found = planted([leak, missed, null, result(run().end().settle())])
    assert [(one.rule, one.caught, one.witness, one.found) for one in found] == [
        (Rule.LEAK, True, "ledger+memory", "at the end"),
        (Rule.DOUBLE_FREE, False, "-", "-"),
        (Rule.NULL_FREE, True, "ledger", "at the event"),
    ]
    # The history's clock ticks a microsecond a record: allocate, cpu_state, end.
    assert [one.within for one in found] == [2000, 0, 0]
    assert rate(found) == "planted faults: 2 of 3 caught (66 %)"
    assert rate(found[:1]) == "planted faults: 1 of 1 caught (100 %)"


def test_what_was_found_without_an_end_took_no_known_time() -> None:
    history = run().allocate(1, A).release(1, A)
    history.rows[-1].update(physical=0)  # what the release found as the guard
    (row,) = planted([fault(history, "out-of-bounds")])
    assert (row.caught, row.found, row.within) == (False, "at the release", 0)


def test_a_leak_is_found_at_the_first_end() -> None:
    (row,) = planted([fault(run().allocate(1, A).end().end().settle(), "leak")])
    assert (row.caught, row.found, row.within) == (False, "at the end", 2000)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_planted_fault_may_declare_any_number_of_findings(count: int) -> None:
    history = run()
    for _ in range(2):
        history.release(0, 0, withheld=True)
    found = planted([fault(history.end().settle(), "null-free", count)])
    assert [row.caught for row in found] == [count == 2] * count
    assert [row.witness for row in found] == ["ledger", "ledger", "-"][:count]


def test_images_with_different_tables_are_compared() -> None:
    clean = result(run().allocate(1, A).release(1, A).end().settle())
    mine = replace(clean, scenario=replace(clean.scenario, name="mine/[/x]"))
    assert differing([[clean, mine], [clean]]) == {"mine/[/x]": [signature(mine), ABSENT]}
    assert differing([[clean], [mine, clean]]) == {"mine/[/x]": [ABSENT, signature(mine)]}
    output = io.StringIO()
    names = ["opt-[/2]", "opt-3"]
    print_comparison(Console(file=output, width=80), names, [[clean, mine], [clean]])
    said = output.getvalue()
    assert "  opt-3: absent\n" in said
    assert "opt-[/2]" in said
    assert "1 scenarios have the same result in all 2 images, 1 do not" in said


def test_two_builds_are_compared_by_what_their_verdicts_say() -> None:
    leaks = result(run().allocate(1, A).end().settle())
    elsewhere = result(run().allocate(1, B).end().settle())
    clean = result(run().allocate(1, A).release(1, A).end().settle())
    assert differing([[leaks, clean], [elsewhere, clean]]) == {}
    assert differing([[leaks], [clean]]) == {NAME: [signature(leaks), signature(clean)]}
