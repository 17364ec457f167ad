"""Functions that a project adds, by its page: an instrument is built with them, and judges."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs/your-project.md"
pytestmark = pytest.mark.long

MODULE = """// SPDX-License-Identifier: GPL-2.0
#include <linux/debugfs.h>
#include <linux/module.h>

static struct dentry *one, *two;

static int __init folders_init(void)
{
	one = debugfs_create_dir("one", NULL);
	two = debugfs_create_dir("two", NULL);
	return 0;
}

static void __exit folders_exit(void)
{
	debugfs_remove(one);
	RELEASE_TWO;
}

module_init(folders_init);
module_exit(folders_exit);
MODULE_LICENSE("GPL");
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folders")
    section = PAGE.read_text().partition("## Functions of your own\n")[2].partition("\n## ")[0]
    (table,) = re.findall(r"^```toml\n(.*?)^```", section, re.M | re.S)
    (folder / "freeonce.toml").write_text(f'[audit]\ntargets = ["module"]\n\n{table}')
    (folder / "module").mkdir()
    (folder / "module/Kbuild").write_text("obj-m := folders.o\n")
    return folder


def audited(project: Path, release: str) -> list[tuple[str, str]]:
    """The findings of the module, which releases its second folder so."""
    (project / "module/folders.c").write_text(MODULE.replace("RELEASE_TWO", release))
    command = [sys.executable, "-m", "freeonce", "audit", "--json", "report.json"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    (life,) = json.loads((project / "report.json").read_text())["lives"]
    assert life["verdict"] in ("clean", "faulty"), done.stdout
    return [(one["rule"], one["family"]) for one in life["findings"]]


@pytest.mark.parametrize(
    ("release", "found"),
    [
        ("debugfs_remove(two)", []),
        ("", [("leak", "registration")]),
        ("debugfs_remove(two); debugfs_remove(NULL)", []),
    ],
)
def test_they_are_judged_like_any(
    project: Path, release: str, found: list[tuple[str, str]]
) -> None:
    assert audited(project, release) == found
