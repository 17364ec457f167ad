"""Where in the source findings come from: each run numbers its stacks for itself."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from freeonce.audit.model import Rule
from freeonce.errors import HostError
from freeonce.evidence.ledger import Type
from freeonce.evidence.stacks import Told
from freeonce.report.document import run_document
from freeonce.report.places import Everywhere, origin, where
from freeonce.subject.places import Frame, Place, choose
from freeonce.subject.symbols import places
from tests.unit.history import run
from tests.unit.results import HOST, result

CORE = Frame(
    "g", None, "freeonce", "/usr/lib/rustlib/src/rust/library/core/src/ptr/non_null.rs", 270
)
SHIM = Frame("deallocate", None, "freeonce", "guest/rust/src/physical.rs", 22)
OWNER = Frame("drop", None, "freeonce", "guest/rust/src/svm/npt.rs", 30)
SCENARIO = Frame("vmrun_exits", None, "freeonce", "guest/rust/src/scenarios/svm.rs", 12)


def test_a_module_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "module.ko").write_bytes(b"not a module")
    with pytest.raises(HostError) as error:
        places(tmp_path / "module.ko", [Told()])
    assert error.value.reason == "no-symbols"


def test_what_is_found_later_points_at_the_allocation() -> None:
    history = run().allocate(1, 0x1000)
    history.rows[-1]["site"] = 0x40
    history.release(0, 0, withheld=True)
    history.rows[-1]["site"] = 0x80
    one = result("a", history.end().settle())
    places = {0x40: Place(OWNER, (OWNER,)), 0x80: Place(SCENARIO, (SCENARIO,))}
    by_rule = {finding.rule: finding for finding in one.judgement.findings}
    leak, null = by_rule[Rule.LEAK], by_rule[Rule.NULL_FREE]
    assert origin(leak, places) == ("allocated at", places[0x40])
    assert origin(null, places) == ("called from", places[0x80])
    # A record without a site, as that of a guard, still names its allocation.
    assert origin(replace(leak, site=0), places) == ("allocated at", places[0x40])
    assert origin(null, {}) is None


def test_a_helper_is_told_with_who_called_it() -> None:
    callers = [Frame("f", None, "freeonce", "guest/specimens/scenarios/x.c", n) for n in (1, 2, 3)]
    place = choose([SCENARIO, CORE, *callers])
    assert place is not None
    history = run().allocate(1, 0x1000)
    history.rows[-1]["site"] = 0x80
    (leak,) = result("a", history.end().settle()).judgement.findings
    said = [f"allocated at {SCENARIO}", f"  from {callers[0]}", f"  from {callers[1]}"]
    assert where(leak, {0x80: place}) == said


def test_a_leak_that_was_released_too_late_says_where() -> None:
    history = run().allocate(1, 0x1000)
    history.rows[-1]["site"] = 0x40
    settled = run().allocate(1, 0x1000).end().settle()
    history.end().add(Type.RELEASE, serial=1, pointer=0x1000, kind=1, site=0x80)
    for row in settled.rows[-3:]:
        history.rows.append(dict(row, sequence=len(history.rows) + 1))
    (leak,) = result("a", history).judgement.findings
    places = {0x40: Place(OWNER, (OWNER,)), 0x80: Place(SCENARIO, (SCENARIO,))}
    assert where(leak, places) == [f"allocated at {places[0x40]}", f"released at {places[0x80]}"]


def test_a_double_free_says_where_the_first_release_was() -> None:
    history = run().allocate(1, 0x1000).release(1, 0x1000)
    release = next(row for row in history.rows if row["type"] == Type.RELEASE)
    release["site"] = 0x80
    history.release(1, 0x1000, withheld=True)
    history.rows[-1]["site"] = 0x40
    (double,) = result("a", history.end().settle()).judgement.findings
    places = {0x40: Place(OWNER, (OWNER,)), 0x80: Place(SCENARIO, (SCENARIO,))}
    first = f"first released at {places[0x80]}"
    assert where(double, places) == [f"called from {places[0x40]}", first]


def test_programs_get_file_and_line() -> None:
    history = run().text(Type.STEP, "assign").release(0, 0, withheld=True)
    history.rows[-1]["site"] = 0x80
    one = result("a", history.end().settle())
    document = run_document(
        HOST, [one], places=Everywhere(otherwise={0x80: Place(SCENARIO, (SCENARIO,))})
    )
    (finding,) = json.loads(json.dumps(document))["scenarios"][0]["findings"]
    assert (finding["file"], finding["line"]) == ("guest/rust/src/scenarios/svm.rs", 12)


def test_the_same_number_is_another_stack_in_another_run() -> None:
    leaks = []
    for frame in (1, 2):
        history = run().stack(5, frame).allocate(1, 0x1000)
        history.rows[-1]["site"] = 5
        leaks.append(result("a", history.end().settle()))
    first, second = Place(OWNER, (OWNER,)), Place(SCENARIO, (SCENARIO,))
    runs = [(leaks[0].evidence.told, {5: first}), (leaks[1].evidence.told, {5: second})]
    # What a report without pictures keeps of a run has its stacks as well.
    kept = leaks[1].without_pictures()
    everywhere = Everywhere([*runs, (kept.evidence.told, {5: second})])
    (leak,) = leaks[0].judgement.findings
    assert origin(leak, everywhere.of(leaks[0])) == ("allocated at", first)
    assert origin(leak, everywhere.of(leaks[1])) == ("allocated at", second)
    assert origin(leak, everywhere.of(kept)) == ("allocated at", second)
    assert kept.evidence.told.stacks == leaks[1].evidence.told.stacks


@pytest.mark.parametrize("folder", ["guest/rust/src/scenarios", "scenarios"])
def test_a_scenario_is_looked_for_before_the_owners_it_calls(folder: str) -> None:
    """Ours, and those of a user's project."""
    owner = Frame("alloc", None, "specimens", "guest/rust/src/lib.rs", 32)
    scenario = Frame("teardown", None, "specimens", f"{folder}/mine.rs", 16)
    place = choose([owner, scenario])
    assert place is not None
    assert place.frame == scenario
