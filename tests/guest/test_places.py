"""Lines of source, from a real kernel's layout of the module and real debug info."""

from pathlib import Path

import pytest

from freeonce.guest import Guest
from freeonce.project.setting import Setting
from freeonce.report.places import origin
from freeonce.run.campaign import run_one
from freeonce.subject.symbols import places

pytestmark = pytest.mark.xdist_group("guest")

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "said", "file", "code"),
    [
        # What stands on the line that committed it, and in which file.
        ("fault/leak/pool/rust", "allocated at", "rust/src/scenarios/faults.rs", "try_new_in"),
        ("fault/null-free/pool/rust", "called from", "rust/src/scenarios/faults.rs", "drop("),
        ("fault/leak/pool/c", "allocated at", "specimens/scenarios/faults.c", "pool_alloc("),
        ("box/zeroed_then_assigned", "called from", "rust/src/scenarios/boxes.rs", ".bar = "),
        ("fault/out-of-bounds/pool/rust", "allocated at", "rust/src/scenarios/faults.rs", "("),
    ],
)
def test_a_finding_names_the_line_that_committed_it(
    name: str, said: str, file: str, code: str, guest: Guest, setting: Setting
) -> None:
    (scenario,) = (one for one in guest.scenarios() if one.name == name)
    result, _ = run_one(guest, scenario)
    (finding,) = result.judgement.findings
    (of_run,) = places(setting.image.specimens, [result.evidence.told])
    found = origin(finding, of_run)
    assert found is not None
    words, place = found
    assert (words, place.frame.file) == (said, f"guest/{file}")
    assert place.frame.file
    assert place.frame.line
    line = (ROOT / place.frame.file).read_text().splitlines()[place.frame.line - 1]
    assert code in line
