"""The program by which KVM runs an L2 says by its status whether KVM did as it should."""

import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROGRAM = HERE.parent / "debian/programs/kvm_nested.c"
L2, END, WRONG = "3f8", "f4", "f3"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The program, and the KVM that it gets."""
    folder = tmp_path_factory.mktemp("built")
    program, kvm = folder / "kvm_nested", folder / "fake_kvm.so"
    subprocess.run(["gcc", "-O1", "-o", program, PROGRAM], check=True)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", kvm, HERE / "fake_kvm.c"], check=True)
    return program, kvm


@pytest.mark.parametrize(
    ("arguments", "ports", "status"),
    [
        (["1", "2"], [L2, L2, L2, END], 0),
        (["2", "1"], [L2, L2, END, L2, L2, END], 0),
        (["1", "1"], [L2, L2, WRONG], 1),
        (["1", "1"], [L2, L2, L2], 1),
        (["1", "1"], [L2, END], 1),
        (["--faulty", "1", "1"], [L2, L2, WRONG], 0),
        (["--faulty", "1", "1"], [L2, END], 1),
    ],
)
def test_its_status_tells_where_the_l2_ended(
    built: tuple[Path, Path], arguments: list[str], ports: list[str], status: int
) -> None:
    program, kvm = built
    environment = {**os.environ, "LD_PRELOAD": str(kvm), "FAKE_KVM_PORTS": " ".join(ports)}
    done = subprocess.run(
        [program, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
