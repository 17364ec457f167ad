"""`freeonce audit` as a user calls it, with its options and reports."""

import json
import lzma
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from freeonce.machine.template import Template
from freeonce.project.setting import Setting
from freeonce.subject.build import build
from tests.guest.lives import headers_of

pytestmark = pytest.mark.xdist_group("audit")

MODULE = """// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <linux/slab.h>
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("For a test");
static void *kept;
static int keep(const char *text, const struct kernel_param *unused)
{
	kept = kmemdup(text, 3, GFP_KERNEL);
	return kept ? 0 : -ENOMEM;
}
module_param_call(keep, keep, NULL, NULL, 0200);
static int __init start(void) { return 0; }
module_init(start);
static void __exit stop(void) { kfree(kept); }
module_exit(stop);
"""
LINE = 1 + MODULE[: MODULE.index("kmemdup")].count("\n")
PROGRAM = """
#include <stdio.h>
int main(int count, char **arguments)
{
	char text[16] = "";
	FILE *from = fopen(arguments[1], "r"), *to = fopen("/sys/module/keeper/parameters/keep", "w");
	if (!fgets(text, sizeof(text), from) || fputs(text, to) < 0 || fclose(to))
		return 1;
	return printf("wrote %s\\n", text) < 0;
}
"""
LOOK = "grep -q freeonce.word=1 /proc/cmdline && [ $(nproc) = 1 ] && grep -q ^dummy /proc/modules"


@pytest.fixture
def folder(place: tuple[Setting, Template], tmp_path: Path) -> Path:
    """A stripped module, packed; one with its debug info; a program; what that reads."""
    source = tmp_path / "keeper"
    source.mkdir()
    (source / "keeper.c").write_text(MODULE)
    (source / "Kbuild").write_text("obj-m += keeper.o\n")
    (tmp_path / "scratch").mkdir()
    (made,) = build(source, headers_of(place[0]), tmp_path / "scratch").modules
    (tmp_path / "whole.ko").write_bytes(made.read_bytes())
    subprocess.run(["strip", "-g", made], check=True)
    (tmp_path / "keeper.ko.xz").write_bytes(lzma.compress(made.read_bytes(), lzma.FORMAT_XZ))
    (tmp_path / "user.c").write_text(PROGRAM)
    subprocess.run(["gcc", "-o", "user", "user.c"], cwd=tmp_path, check=True)
    (tmp_path / "words").write_text("abc")
    return tmp_path


def freeonce(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The program, in that folder."""
    argv = [sys.executable, "-m", "freeonce", "audit", *words]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


def test_every_option_at_once(folder: Path) -> None:
    """Two leaks of three acquisitions, by a program that needs its libraries."""
    commands = ("user /etc/freeonce/words", "user /etc/freeonce/words", "user words", LOOK)
    reports = {name: folder / f"report.{name}" for name in ("json", "junit", "sarif", "html")}
    done = freeonce(
        folder,
        *("./keeper.ko.xz", "--debug-info", "whole.ko", "--dep", "dummy", "--verbose"),
        *("--file", "user", "--file", "words:/etc/freeonce/words", "--file", "words"),
        *(word for command in commands for word in ("-c", command)),
        *("--keep-loaded", "0.5", "--memory", "600", "--cpus", "1"),
        *("--append", "freeonce.word=1", "--qemu-arg", "-device virtio-rng-pci"),
        *(word for name, file in reports.items() for word in (f"--{name}", str(file))),
        *("--trace", "report.pftrace"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    document = json.loads(reports["json"].read_text())
    (life,) = document["lives"]
    assert life["reasons"] == []
    assert [one["status"] for one in life["exercises"]] == [0, 0, 0, 0]
    assert [one["output"] for one in life["exercises"]][:3] == ["wrote abc\n"] * 3
    assert (life["acquired"], life["released"]) == (3, 1)
    (finding,) = life["findings"]
    assert (finding["rule"], finding["family"], finding["count"]) == ("leak", "slab", 2)
    assert (finding["function"], finding["line"]) == ("keep", LINE)
    assert Path(finding["file"]).name == "keeper.c"
    assert set(life["witnesses"].values()) == {"agree"}
    # What exercises print is shown on request.
    assert "wrote abc" in done.stdout
    assert ElementTree.parse(reports["junit"]).getroot().find(".//failure") is not None
    (run,) = json.loads(reports["sarif"].read_text())["runs"]
    assert [one["ruleId"] for one in run["results"]] == ["leak"]
    assert "keep" in reports["html"].read_text()
    assert (folder / "report.pftrace").stat().st_size


def test_what_stays_loaded_is_neither_clean_nor_leaked(folder: Path) -> None:
    done = freeonce(
        folder,
        *("./keeper.ko.xz", "--no-unload", "--json", "-"),
        *("-c", "echo abc >/sys/module/keeper/parameters/keep"),
    )
    assert done.returncode == 4, done.stderr
    (life,) = json.loads(done.stdout)["lives"]
    assert (life["verdict"], life["acquired"], life["findings"]) == ("incomplete", 1, [])
