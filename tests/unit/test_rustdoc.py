"""The pages of the crate `freeonce`: rustdoc has nothing to warn of, its examples run here."""

import os
import re
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "guest/rust/src/lib.rs"
FEATURES = ("--check-cfg", 'cfg(feature, values("allocator"))')


def done(command: list[str | Path], folder: Path) -> str:
    """What a compiler says. The crate needs features that a stable one has locked."""
    (folder / "none.rs").touch()
    own = {"RUSTC_BOOTSTRAP": "1", "FREEONCE_SCENARIOS": str(folder / "none.rs")}
    run = subprocess.run(
        [*command, "--edition", "2024", "--crate-name", "freeonce", *FEATURES, SOURCE],
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The crate for this host: without the pool, which is not here."""
    folder = tmp_path_factory.mktemp("crate")
    done(["rustc", "--crate-type", "rlib", "-A", "unused", "--out-dir", folder], folder)
    return folder / "libfreeonce.rlib"


def test_nothing_is_to_be_warned_of(tmp_path: Path) -> None:
    done(["rustdoc", "-D", "warnings", "--out-dir", tmp_path / "pages"], tmp_path)
    assert (tmp_path / "pages/freeonce/scenario/fn.finding.html").exists()


def test_the_examples_run_and_what_must_not_compile_does_not(library: Path) -> None:
    words = ["rustdoc", "--test", "--extern", f"freeonce={library}"]
    said = done([*words], library.parent)
    passed = re.findall(r"test result: ok\. (\d+) passed; 0 failed; 0 ignored", said)
    assert sum(map(int, passed)) == said.count("... ok") >= 5
    assert said.count("compile fail ... ok") == 3
