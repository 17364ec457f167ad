"""Each allocation made to fail, and many runs in a row, in real guests."""

from collections import Counter
from dataclasses import replace

import pytest

from freeonce.audit.model import Verdict
from freeonce.audit.points import Outcome, passed
from freeonce.project.setting import Setting
from freeonce.run.campaign import run_all
from freeonce.run.choose import select
from freeonce.run.failures import run_each
from freeonce.run.hire import clones, shared_guest
from freeonce.run.task import Options

QUICK = Options(faults=False)

pytestmark = pytest.mark.xdist_group("failures")


# The programs of svm/exit and svm/invalid share one way to make their L2.
BEARING = [
    *("allocated_memory/*", "box/built_then_moved", "allocator/*_box", "allocator/box_*"),
    *("allocator/try_*", "allocator/nested_*", "vec/*", "c/*", "svm/vmrun_exits"),
    *("svm/all_cpus_at_once", "svm/invalid/asid_0", "hypervisor/virtualize"),
]


@pytest.mark.long
def test_every_clean_scenario_bears_the_failure_of_each_allocation(setting: Setting) -> None:
    # Hundreds of runs: in one guest they also show that none spoils it for the next.
    with shared_guest(setting) as crew:
        every = list(run_each(crew, select(crew.scenarios(), BEARING), QUICK))
    found = [one for one in every if one.plain.judgement.verdict is Verdict.CLEAN]
    assert passed(found), [point for one in found for point in one.points if point.detail]
    by_name = {one.plain.scenario.name: one.points for one in found}
    # Each allocation once alone and once with everything after it.
    assert len(by_name["allocator/nested_mixed"]) == 2 * 3
    assert len(by_name["vec/contiguous_growth"]) == 2 * 10
    assert len(by_name["svm/vmrun_exits"]) == 2 * 13
    # Map, permission maps, shared data, the list of CPUs, a block for each of two.
    assert len(by_name["hypervisor/virtualize"]) == 2 * 7


def test_a_failure_that_is_not_borne_is_told(setting: Setting) -> None:
    """It drops a zeroed Foo when the second allocation fails; named, although it is faulty."""
    with clones(setting) as crew:
        (found,) = run_each(crew, select(crew.scenarios(), ["box/zeroed_then_assigned"]), QUICK)
    outcomes = {(point.number, point.after): point.outcome for point in found.points}
    assert outcomes[1, False] is Outcome.HANDLED
    assert outcomes[2, False] is Outcome.FAULTY
    assert all(point.site for point in found.points)


def test_many_runs_tell_the_same_and_the_ledger_never_fills(setting: Setting) -> None:
    window = replace(setting.config().window, size=64 << 10)
    small = replace(setting, window=window)
    names = ["allocator/nested_mixed", "fault/leak/pool/rust"]
    with shared_guest(small) as crew:
        results = list(run_all(crew, names, replace(QUICK, repeat=60)))
    verdicts = Counter((one.scenario.name, one.judgement.verdict) for one in results)
    assert verdicts == {(names[0], Verdict.CLEAN): 60, (names[1], Verdict.FAULTY): 60}
    assert all(one.as_expected for one in results)
