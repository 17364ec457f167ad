"""What a worker tells of its machine: only what it saw, and what it could not try is said."""

import os
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from freeonce.audit.model import Verdict
from freeonce.campaign import probe as room
from freeonce.campaign.probe import VMRUN, Capabilities, probe
from freeonce.campaign.serving import address_towards
from freeonce.cli import worker as verb
from freeonce.errors import GuestLost, HostError

TCG = Capabilities(("tcg",), ("tcg",), ("6.1",), "7.2.22", ())


@pytest.fixture(autouse=True)
def qemu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "find_qemu", lambda: SimpleNamespace(version="7.2.22"))


def trying(monkeypatch: pytest.MonkeyPatch, **cases: Exception | None) -> None:
    """What a guest comes to, by accelerator, with `_svm` behind it; what is not said is well."""

    def tried(accelerator: str, svm: bool) -> list[str]:
        if error := cases.get(f"{accelerator}_svm" if svm else accelerator):
            raise error
        return ["6.1"]

    monkeypatch.setattr(room, "_tried", tried)


NO_KVM = HostError("no-kvm", "KVM cannot run guests here")


def test_resources_are_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    trying(monkeypatch)
    assert probe("tcg") == TCG
    assert probe("auto").resources() == dict.fromkeys(
        ("tcg", "kvm", "svm_tcg", "svm_kvm", "kernel:6.1", "qemu:7.2.22"), 1.0
    )


def test_an_accelerator_without_svm_is_told_without(monkeypatch: pytest.MonkeyPatch) -> None:
    trying(monkeypatch, kvm_svm=HostError("no-vmrun", "svm/vmrun_exits came to incomplete"))
    found = probe("auto")
    assert (found.accelerators, found.svm) == (("tcg", "kvm"), ("tcg",))
    assert list(found.words())[1:] == ["kvm with SVM: svm/vmrun_exits came to incomplete"]


def test_what_does_not_run_is_not_told_as_if_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = GuestLost("the guest was lost")
    trying(monkeypatch, kvm_svm=NO_KVM, kvm=NO_KVM, tcg_svm=lost, tcg=lost)
    found = probe("auto")
    assert found.resources() == {}
    assert len(found.lacking) == 4
    assert next(found.words()) == "runs guests: none"


def test_without_an_image_a_promise_counts_and_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    none = HostError("no-image", "no usable image")
    trying(monkeypatch, tcg_svm=none, kvm_svm=none, kvm=none)

    def promised(accelerator: str, *_: Any) -> None:
        if accelerator == "kvm":
            raise NO_KVM

    monkeypatch.setattr(room, "choose_accelerator", promised)
    found = probe("auto")
    assert found.resources() == {"tcg": 1.0, "svm_tcg": 1.0, "qemu:7.2.22": 1.0}
    assert "tcg with SVM: promised, but not tested: there is no image" in found.lacking


@pytest.mark.parametrize(
    ("verdict", "vmruns", "well"),
    [
        (Verdict.CLEAN, 3, True),
        (Verdict.CLEAN, 0, False),
        (Verdict.UNSUPPORTED, 0, False),
        (Verdict.INCOMPLETE, 3, False),
        (Verdict.FAULTY, 3, False),
    ],
)
def test_svm_is_told_when_vmrun_was_executed_and_judged_clean(
    monkeypatch: pytest.MonkeyPatch, verdict: Verdict, vmruns: int, well: bool
) -> None:
    judgement = SimpleNamespace(verdict=verdict, vmruns=vmruns, reasons=("why",))
    setting = SimpleNamespace(image=SimpleNamespace(release="6.1"))
    guest = SimpleNamespace(check=lambda: None)
    chosen: list[str] = []

    def run_one(_: Any, scenario: Any) -> Any:
        chosen.append(scenario.name)
        return SimpleNamespace(judgement=judgement), True

    monkeypatch.setattr(room, "find_setting", lambda *_, **__: setting)
    monkeypatch.setattr(room, "template_of", lambda _: nullcontext(SimpleNamespace(table=b"")))
    monkeypatch.setattr(room, "clone", lambda *_: nullcontext(guest))
    table = [SimpleNamespace(name=name) for name in ("c/pool", VMRUN)]
    monkeypatch.setattr(room, "parse_scenarios", lambda _: table)
    monkeypatch.setattr(room, "run_one", run_one)
    assert ("tcg" in probe("tcg").svm) is well
    assert chosen == [VMRUN]


def test_a_worker_listens_where_it_reaches_its_scheduler() -> None:
    assert address_towards("tcp://127.0.0.1:8786") == "127.0.0.1"
    assert address_towards("tls://[::1]:8786") == "::1"
    for wrong in ("nonsense", "tcp://127.0.0.1"):
        with pytest.raises(ValueError, match="HOST:PORT"):
            address_towards(wrong)


def test_what_a_workers_environment_names_is_found_from_wherever_a_campaign_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def serve(*_: Any) -> None:
        """Nobody is served."""

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEONCE_QEMU", "tools/qemu")
    monkeypatch.setenv("FREEONCE_IMAGE", "image/manifest.json")
    monkeypatch.setattr(verb, "loaded", lambda _: SimpleNamespace(serve=serve))
    monkeypatch.setattr(verb, "probe", lambda _: TCG)
    done = CliRunner().invoke(verb.worker, ["tcp://127.0.0.1:1", "--slots", "1"])
    assert done.exit_code == 0, done.output
    assert os.environ["FREEONCE_QEMU"] == str(tmp_path / "tools/qemu")
    assert os.environ["FREEONCE_IMAGE"] == str(tmp_path / "image/manifest.json")
    # A name is looked for in PATH.
    monkeypatch.setenv("FREEONCE_QEMU", "qemu-system-x86_64")
    CliRunner().invoke(verb.worker, ["tcp://127.0.0.1:1", "--slots", "1"])
    assert os.environ["FREEONCE_QEMU"] == "qemu-system-x86_64"
