"""Parameters that a subject is loaded with: one that it does not declare is told."""

from pathlib import Path

from freeonce.run.prepare import undeclared
from freeonce.subject.module import read_module
from tests.unit.modules import compiled


def test_what_a_module_declares_is_known(tmp_path: Path) -> None:
    assert read_module(compiled(tmp_path)).parameters == ("max_part", "rd_size")


def test_a_misspelt_parameter_is_told_and_others_are_not(tmp_path: Path) -> None:
    module = read_module(compiled(tmp_path))
    given = ["max-part=3", "rd_size=8", "dyndbg=+p", "rd_sise=8", "flag"]
    told = list(undeclared([module], {"sample": given}))
    assert len(told) == 2
    assert "declares no parameter 'rd_sise' (max_part, rd_size)" in told[0]
    assert "declares no parameter 'flag'" in told[1]
    assert not list(undeclared([module], {"another": ["x=1"]}))
