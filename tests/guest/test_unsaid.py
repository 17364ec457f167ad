"""An instrument that never writes one type of record is noticed (`make unsaid`)."""

from pathlib import Path

import pytest

from freeonce.evidence.ledger import Type, Witness
from freeonce.project.setting import Setting
from tests.unsaid.__main__ import Record, run_in, without

NAMES = ("c/pool", "fault/double-free/pool/c")


@pytest.mark.parametrize("witness", Witness)
def test_without_any_release_nothing_is_as_expected(
    witness: Witness, setting: Setting, tmp_path: Path
) -> None:
    base = setting.image.manifest.resolve()
    assert not run_in(base, tmp_path, NAMES).any
    noticed = without(Record(Type.RELEASE, witness), base, tmp_path, NAMES)
    assert noticed.any
    assert noticed.other == len(NAMES)
    assert noticed.clean == ()
