"""What the host can do: decided from what the kernel answers, not from a file that opens."""

import fcntl
import hashlib
import json
import os
import struct
from pathlib import Path

import pytest

from freeonce.errors import HostError
from freeonce.machine import probe
from freeonce.project import accelerator, host
from freeonce.project.accelerator import Accelerator, choose_accelerator
from freeonce.project.host import Qemu, find_qemu, kvm_without_svm
from freeonce.project.image import load_image

QEMU = Qemu("/usr/bin/qemu-system-x86_64", "7.2.22")


@pytest.fixture
def kvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /dev/kvm that opens."""
    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(host, "KVM", device)
    return device


def answering(ecx: int, version: int = 12) -> object:
    def ioctl(_device: int, request: int, buffer: bytearray | None = None) -> int:
        if request == host.KVM_GET_API_VERSION:
            return version
        assert request == host.KVM_GET_SUPPORTED_CPUID
        assert buffer is not None
        struct.pack_into("<II", buffer, 0, 2, 0)
        struct.pack_into("<10I", buffer, 8, 0, 0, 0, 13, 0, 0, 0, 0, 0, 0)
        struct.pack_into("<10I", buffer, 48, 0x80000001, 0, 0, 0, 0, ecx, 0, 0, 0, 0)
        return 0

    return ioctl


def test_kvm_with_the_svm_bit_may_do(kvm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "ioctl", answering(ecx=1 << 2))
    assert kvm_without_svm() is None


def test_kvm_that_opens_without_the_svm_bit_is_refused_at_once(
    kvm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", answering(ecx=~(1 << 2) & 0xFFFFFFFF))
    monkeypatch.setattr(accelerator, "kvm_probe", lambda _: pytest.fail("nothing to probe"))
    chosen = choose_accelerator("auto", QEMU)
    assert chosen.name == "tcg"
    assert "opens, but KVM offers guests no SVM" in chosen.reason
    with pytest.raises(HostError) as error:
        choose_accelerator("kvm", QEMU)
    assert error.value.reason == "no-kvm"


def test_kvm_with_svm_that_does_not_run_is_refused(
    kvm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", answering(ecx=1 << 2))
    monkeypatch.setattr(accelerator, "kvm_probe", lambda _: "a virtual CPU did nothing")
    assert choose_accelerator("auto", QEMU).name == "tcg"
    monkeypatch.setattr(accelerator, "kvm_probe", lambda _: None)
    assert choose_accelerator("auto", QEMU).name == "kvm"


def test_no_kvm_and_another_version(
    kvm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", answering(ecx=1 << 2, version=11))
    assert "API version" in str(kvm_without_svm())
    monkeypatch.setattr(host, "KVM", tmp_path / "none")
    assert "there is no" in str(kvm_without_svm())


def test_a_file_that_is_no_device_is_refused(kvm: Path) -> None:
    assert "refuses" in str(kvm_without_svm())


def test_a_probe_of_a_qemu_that_ends_says_why(tmp_path: Path) -> None:
    fake = tmp_path / "qemu"
    fake.write_text("#!/bin/sh\necho failed to initialize kvm >&2\nexit 1\n")
    fake.chmod(0o755)
    said = probe.kvm_probe(str(fake))
    assert str(said).startswith("under KVM QEMU ended with status 1: failed to initialize kvm")


@pytest.mark.usefixtures("usual_speed")
def test_a_probe_of_a_qemu_that_hangs_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PROBE_SECONDS", 0.3)
    fake = tmp_path / "qemu"
    fake.write_text("#!/bin/sh\nexec sleep 60\n")
    fake.chmod(0o755)
    assert "took more than 0.3 s" in str(probe.kvm_probe(str(fake)))


def test_tcg_asked_for_is_tcg() -> None:
    reason = "asked for; emulates SVM on any host"
    assert choose_accelerator("tcg", QEMU) == Accelerator("tcg", reason)


@pytest.mark.parametrize(
    ("said", "reason"),
    [("QEMU emulator version 6.2.0", "old-qemu"), ("hello", "no-qemu")],
)
def test_a_qemu_that_will_not_do_is_refused(
    said: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "qemu"
    fake.write_text(f"#!/bin/sh\necho '{said}'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("FREEONCE_QEMU", str(fake))
    with pytest.raises(HostError) as error:
        find_qemu()
    assert error.value.reason == reason


def test_a_qemu_that_is_not_there_says_make_setup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEONCE_QEMU", "no-such-qemu")
    with pytest.raises(HostError, match="make setup"):
        find_qemu()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A whole image of small files."""
    document: dict[str, object] = {
        "schema": "freeonce/image/1",
        "rust": {"version": "1.96.0", "rustc": "/usr/bin/rustc"},
    }
    for name in ("kernel", "initramfs", "module", "symvers", "specimens", "client_key", "host_key"):
        (tmp_path / name).write_text(name)
        sha256 = hashlib.sha256(name.encode()).hexdigest()
        document[name] = {"path": name, "sha256": sha256, "release": "6.1", "protocol": "pvh"}
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(document))
    return manifest


def test_a_whole_image_is_taken(image: Path) -> None:
    loaded = load_image(image)
    assert (loaded.release, loaded.protocol, loaded.rust) == ("6.1", "pvh", "1.96.0")
    assert loaded.boot == image.parent / "kernel"


def refused(manifest: Path) -> str:
    with pytest.raises(HostError) as error:
        load_image(manifest)
    assert error.value.reason == "no-image"
    return str(error.value)


def test_an_image_that_is_not_whole_is_refused(image: Path) -> None:
    (image.parent / "initramfs").write_text("an error page")
    assert "initramfs is not the file that the manifest describes" in refused(image)
    (image.parent / "initramfs").unlink()
    assert "make setup" in refused(image)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"schema": "freeonce/image/9"}'])
def test_a_manifest_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(text)
    refused(manifest)


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Control groups of which ours is `parent/ours`; the mounted folder itself has no limits."""
    mounted = tmp_path / "cgroup"
    (mounted / "parent/ours").mkdir(parents=True)
    (tmp_path / "memory.max").write_text("1")
    (tmp_path / "memory.current").write_text("1")
    told = tmp_path / "told"
    told.write_text("1:cpu:/elsewhere\n0::/parent/ours\n")
    monkeypatch.setattr(host, "CGROUP", mounted)
    monkeypatch.setattr(host, "OUR_CGROUP", told)
    return mounted


def memory(group: Path, **values: object) -> None:
    for name, value in values.items():
        (group / f"memory.{name}").write_text(f"{value}\n")


def test_free_memory_is_what_the_control_group_leaves(groups: Path) -> None:
    ours = groups / "parent/ours"
    assert host.free_memory() > 1 << 20
    memory(ours, max="max", current=1000)
    assert host.free_memory() > 1 << 20
    memory(ours, max=3000)
    assert host.free_memory() == 2000
    memory(ours, high=2500)
    assert host.free_memory() == 1500
    memory(ours, current=4000)
    assert host.free_memory() == 0


def test_page_cache_is_free_memory_and_tmpfs_is_not(groups: Path) -> None:
    """What has just built something has read and written many files (cgroup-v2, memory.stat)."""
    stat = (
        "anon 100\nfile 4500\nshmem 500\ninactive_file 3000\nactive_file 1000\nslab_reclaimable 50"
    )
    memory(groups / "parent/ours", max=6000, current=5000, stat=stat)
    assert host.free_memory() == 6000 - (5000 - 4050)


def test_the_limits_of_groups_above_ours_count(groups: Path) -> None:
    memory(groups / "parent/ours", max=9000, current=100)
    memory(groups / "parent", max=3000, current=2000)
    assert host.free_memory() == 1000
    memory(groups, max=2500, current=2000)
    assert host.free_memory() == 500


def test_cores_are_what_the_control_groups_give_time_for(
    groups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert host.cores() == 8
    (groups / "parent/ours/cpu.max").write_text("max 100000\n")
    assert host.cores() == 8
    (groups / "parent/cpu.max").write_text("350000 100000\n")
    assert host.cores() == 3
    (groups / "parent/ours/cpu.max").write_text("50000 100000\n")
    assert host.cores() == 1


def test_other_kinds_of_control_groups_limit_nothing(groups: Path, tmp_path: Path) -> None:
    memory(groups, max=3, current=2)
    (tmp_path / "told").write_text("1:memory:/parent/ours\n")
    assert host.free_memory() > 1 << 20
    assert host.cores() >= 1


def test_a_qemu_that_never_tells_its_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "qemu"
    fake.write_text("#!/bin/sh\nexec sleep 60\n")
    fake.chmod(0o755)
    monkeypatch.setattr(host, "VERSION_SECONDS", 0.1)
    monkeypatch.setenv("FREEONCE_QEMU", str(fake))
    with pytest.raises(HostError, match="did not answer") as error:
        find_qemu()
    assert error.value.reason == "no-qemu"
