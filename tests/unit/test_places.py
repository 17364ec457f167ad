"""Sites to lines of source: addr2line's words, the kernel's layout, the frame one looks for."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from freeonce.audit.model import Rule
from freeonce.errors import HostError
from freeonce.evidence.ledger import Type
from freeonce.report.document import run_document
from freeonce.report.places import origin, sites, where
from freeonce.subject.places import Frame, Place
from freeonce.subject.symbols import places
from tests.unit.history import run
from tests.unit.results import HOST, result

CORE = Frame(
    "g", None, "freeonce", "/usr/lib/rustlib/src/rust/library/core/src/ptr/non_null.rs", 270
)
SHIM = Frame("deallocate", None, "freeonce", "guest/rust/src/physical.rs", 22)
OWNER = Frame("drop", None, "freeonce", "guest/rust/src/svm/npt.rs", 30)
SCENARIO = Frame("vmrun_exits", None, "freeonce", "guest/rust/src/scenarios/svm.rs", 12)


SOURCE = """void callee(void);
__attribute__((section(".init.text"))) void in_init(void) { callee(); }
__attribute__((section(".text.a"))) void in_a(void) { callee(); }

__attribute__((section(".text.b"), aligned(64))) void in_b(void)
{
    callee();
}
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("module")
    (folder / "module.c").write_text(SOURCE)
    flags = ["-g", "-O0", "-fcf-protection=none", f"-fdebug-prefix-map={folder}=/freeonce/guest"]
    subprocess.run(["gcc", *flags, "-c", f"{folder}/module.c", "-o", f"{folder}/m.ko"], check=True)
    return folder / "m.ko"


def section(module: Path, name: str) -> bytes:
    with module.open("rb") as file:
        found = ELFFile(file).get_section_by_name(name)
        assert found is not None
        return bytes(found.data())


def after_call(code: bytes) -> int:
    """The return address of the only call, from the section's begin. CALL rel32 is E8."""
    return code.index(0xE8) + 5


def test_sections_lie_as_the_kernel_lays_them(module: Path) -> None:
    # .text is empty, .init.text lies elsewhere; then .text.a, and .text.b at its alignment.
    a, b = section(module, ".text.a"), section(module, ".text.b")
    in_a = after_call(a)
    in_b = -(-len(a) // 64) * 64 + after_call(b)
    found = places(module, [in_a, in_b, 0, 1 << 31])
    assert {site: (str(place), place.frame.function) for site, place in found.items()} == {
        in_a: ("guest/module.c:3", "in_a"),
        in_b: ("guest/module.c:7", "in_b"),
    }


def test_a_module_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "module.ko").write_bytes(b"not a module")
    with pytest.raises(HostError) as error:
        places(tmp_path / "module.ko", [1])
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
    assert sites([one]) == {0x40, 0x80}


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
    document = run_document(HOST, [one], places={0x80: Place(SCENARIO, (SCENARIO,))})
    (finding,) = json.loads(json.dumps(document))["scenarios"][0]["findings"]
    assert (finding["file"], finding["line"]) == ("guest/rust/src/scenarios/svm.rs", 12)
