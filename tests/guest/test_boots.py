"""A boot that does not end is given up, and where QEMU is known to freeze, begun anew."""

import logging
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from freeonce.errors import DeadlineExceeded
from freeonce.evidence.scenarios import parse_scenarios
from freeonce.guest import take_template
from freeonce.guest.making import BEGUN_ANEW, PATCHES_RIGHT
from freeonce.machine.template import ram_files
from freeonce.project.setting import Setting

SECONDS = 40.0
FIRST_HANGS = """#!{python}
import os, pathlib, sys
arguments, hung = sys.argv[1:], pathlib.Path("{hung}")
if not hung.exists():
    hung.touch()
    # Firmware that finds nothing to boot waits for ever.
    at = arguments.index("-kernel")
    del arguments[at : at + 6]
os.execv("{qemu}", ["{qemu}", *arguments])
"""


@pytest.mark.long
def test_a_boot_that_hangs_is_begun_anew_once(
    setting: Setting, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    version = tuple(map(int, setting.qemu.version.split(".")[:2]))
    hung, program = tmp_path / "hung", tmp_path / "qemu"
    found = shutil.which(setting.qemu.path)
    program.write_text(FIRST_HANGS.format(python=sys.executable, hung=hung, qemu=found))
    program.chmod(0o755)
    config = replace(setting.config(), qemu=str(program), cpus=2)
    with caplog.at_level(logging.WARNING, BEGUN_ANEW.name):
        if setting.accelerator.name == "tcg" and version < PATCHES_RIGHT:
            table = take_template(config, setting.image, tmp_path, SECONDS)
            assert parse_scenarios(table)
            told = caplog.text
            assert "the boot is begun anew" in told
        else:
            with pytest.raises(DeadlineExceeded) as late:
                take_template(config, setting.image, tmp_path, SECONDS)
            told = str(late.value)
            assert "anew" not in caplog.text
    assert hung.exists()
    assert re.search(r"took more than .* s; CPU 0 is at [0-9a-f]+; CPU 1 is at [0-9a-f]+", told)
    # Of the whole memory, by whichever QEMU.
    assert [one.stat().st_size for one in ram_files(config, tmp_path)] == [config.memory]
