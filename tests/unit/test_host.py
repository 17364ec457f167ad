"""What the host can do: decided from what the kernel answers, not from a file that opens."""

import fcntl
import hashlib
import json
import os
import struct
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from freeonce.deadline import Deadline
from freeonce.errors import HostError
from freeonce.guest.making import boot_up
from freeonce.machine import probe
from freeonce.machine.argv import MachineConfig
from freeonce.project import accelerator, host, remembered
from freeonce.project.accelerator import Accelerator, choose_accelerator
from freeonce.project.host import Qemu, find_qemu, kvm_obstacle
from freeonce.project.image import Image, load_image

FAKE_QEMU = Path(__file__).with_name("fake_qemu.py")
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
    assert kvm_obstacle() is None


def test_kvm_that_opens_without_the_svm_bit_is_refused_at_once(
    kvm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", answering(ecx=~(1 << 2) & 0xFFFFFFFF))
    monkeypatch.setattr(accelerator, "kvm_probe", lambda *_: pytest.fail("nothing to probe"))
    chosen = choose_accelerator("auto", QEMU)
    assert chosen.name == "tcg"
    assert "opens, but KVM offers guests no SVM" in chosen.reason
    with pytest.raises(HostError) as error:
        choose_accelerator("kvm", QEMU)
    assert error.value.reason == "no-kvm"


@pytest.fixture
def probes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """What probes say: `firmware`, `guest`. How often they ran: `asked`."""
    monkeypatch.setenv("FREEONCE_TEMPLATES", str(tmp_path / "templates"))
    said: dict[str, str | None] = {"firmware": None, "guest": None, "asked": ""}

    def answer(name: str) -> str | None:
        said["asked"] = f"{said['asked']}{name} "
        return said[name]

    monkeypatch.setattr(accelerator, "kvm_probe", lambda *_: answer("firmware"))
    monkeypatch.setattr(accelerator, "ready_probe", lambda *_: answer("guest"))
    return said


def test_kvm_with_svm_that_does_not_run_is_refused(
    kvm: Path, probes: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", answering(ecx=1 << 2))
    probes["firmware"] = "a virtual CPU did nothing"
    assert choose_accelerator("auto", QEMU).name == "tcg"
    probes["firmware"] = None
    assert choose_accelerator("auto", QEMU, anew=True).name == "kvm"


IMAGE = cast(
    Image,
    SimpleNamespace(
        boot=Path("boot"), initramfs=Path("cpio"), release="6.1", check_kernel=lambda: None
    ),
)


def test_an_audit_takes_kvm_without_svm(
    kvm: Path, probes: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Intel: what is judged there needs no SVM."""
    monkeypatch.setattr(fcntl, "ioctl", answering(ecx=0))
    chosen = choose_accelerator("auto", QEMU, svm=False, image=IMAGE)
    assert (chosen.name, chosen.svm) == ("kvm", False)
    assert probes["asked"] == "firmware guest "
    assert choose_accelerator("auto", QEMU, svm=True, image=IMAGE).name == "tcg"


def test_kvm_that_runs_firmware_and_no_guest_is_not_usable(
    kvm: Path, probes: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", answering(ecx=0))
    probes["guest"] = "a guest's boot under KVM took more than 30 s"
    chosen = choose_accelerator("auto", QEMU, svm=False, image=IMAGE)
    assert chosen.name == "tcg"
    assert "a guest's boot under KVM took more than 30 s" in chosen.reason


def test_a_probe_is_made_once_a_boot_and_its_reason_remembered(
    kvm: Path,
    probes: dict[str, str | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", answering(ecx=0))
    monkeypatch.setattr(remembered, "BOOT", tmp_path / "boot_id")
    (tmp_path / "boot_id").write_text("one")
    probes["firmware"] = "it hangs"
    for _ in range(3):
        assert "it hangs" in choose_accelerator("auto", QEMU, svm=False, image=IMAGE).reason
    assert probes["asked"] == "firmware "
    # A change of KVM's modules, too, may change the answer; asked for by name it is tried again.
    (tmp_path / "boot_id").write_text("two")
    assert "it hangs" in choose_accelerator("auto", QEMU, svm=False, image=IMAGE).reason
    assert probes["asked"] == "firmware firmware "
    with pytest.raises(HostError, match="it hangs"):
        choose_accelerator("kvm", QEMU, svm=False, image=IMAGE)
    assert probes["asked"] == "firmware firmware firmware "


@pytest.mark.parametrize("text", ["", "[]", "null", '{"obstacle": 5}', "{"])
def test_what_is_remembered_is_not_believed_when_it_is_damaged(
    text: str, probes: dict[str, str | None], tmp_path: Path
) -> None:
    key = ("a", "b")
    assert remembered.remembered(key, lambda: "first", False) == "first"
    (file,) = (tmp_path / "templates").iterdir()
    file.write_text(text)
    assert remembered.remembered(key, lambda: "second", False) == "second"


def test_where_nothing_can_be_kept_it_is_asked_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FREEONCE_TEMPLATES", "/proc/none")
    answers = iter(["first", "second"])
    for said in ("first", "second"):
        assert remembered.remembered(("a",), lambda: next(answers), False) == said


def test_a_guest_that_never_gets_ready_is_no_kvm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "READY_SECONDS", 3.0)
    monkeypatch.setenv("FAKE", "say=booting hang")
    config = MachineConfig(str(FAKE_QEMU), "kvm", Path("boot"), Path("cpio"), "host")
    assert "a guest's boot under KVM took more than" in str(probe.ready_probe(config))


def test_a_guest_that_gets_ready_is_kvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE", "say=booting say=freeonce:_ready hang")
    config = MachineConfig(str(FAKE_QEMU), "kvm", Path("boot"), Path("cpio"), "host")
    monkeypatch.setattr(probe, "READY", "freeonce:_ready")
    assert probe.ready_probe(config) is None


def test_a_qemu_that_refuses_kvm_is_no_kvm(tmp_path: Path) -> None:
    fake = tmp_path / "qemu"
    fake.write_text("#!/bin/sh\necho failed to initialize kvm >&2\nexit 1\n")
    fake.chmod(0o755)
    config = MachineConfig(str(fake), "kvm", Path("boot"), Path("cpio"), "host")
    assert "failed to initialize kvm" in str(probe.ready_probe(config))


def test_no_kvm_and_another_version(
    kvm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", answering(ecx=1 << 2, version=11))
    assert "API version" in str(kvm_obstacle())
    monkeypatch.setattr(host, "KVM", tmp_path / "none")
    assert "there is no" in str(kvm_obstacle())


def test_a_file_that_is_no_device_is_refused(kvm: Path) -> None:
    assert "refuses" in str(kvm_obstacle())


def test_a_probe_of_a_qemu_that_ends_says_why(tmp_path: Path) -> None:
    fake = tmp_path / "qemu"
    fake.write_text("#!/bin/sh\necho failed to initialize kvm >&2\nexit 1\n")
    fake.chmod(0o755)
    said = probe.kvm_probe(str(fake))
    assert said == "under KVM QEMU ended with status 1: failed to initialize kvm"


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


@pytest.mark.parametrize(
    ("refuses", "sandbox"), [("nothing", True), ("-sandbox", False)], ids=["with", "without"]
)
def test_a_qemu_without_a_sandbox_is_used_without(
    refuses: str, sandbox: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "qemu"
    fake.write_text(
        f"#!/bin/sh\n[ $1 != {refuses} ] || {{ echo 'not enabled' >&2; exit 1; }}\n"
        "echo QEMU emulator version 10.0.2\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("FREEONCE_QEMU", str(fake))
    assert find_qemu() == Qemu(str(fake), "10.0.2", sandbox)


def test_a_qemu_that_is_not_there_says_make_setup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEONCE_QEMU", "no-such-qemu")
    with pytest.raises(HostError, match="freeonce setup"):
        find_qemu()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A whole image of small files."""
    document: dict[str, object] = {
        "schema": "freeonce/image/1",
        "rust": {"version": "1.96.0", "rustc": "/usr/bin/rustc"},
    }
    for name in (
        *("kernel", "initramfs", "module", "symvers", "specimens"),
        *("families", "client_key", "host_key"),
    ):
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
    assert "freeonce setup" in refused(image)


def test_a_kernel_that_is_not_the_image_s_is_refused_by_who_boots_it(image: Path) -> None:
    (image.parent / "kernel").write_text("another")
    assert "kernel is not the file" in refused(image)
    loaded = load_image(image, kernel=False)
    with pytest.raises(HostError, match="kernel is not the file") as error:
        loaded.check_kernel()
    assert error.value.reason == "no-image"
    with pytest.raises(HostError, match="kernel is not the file"), ExitStack() as stack:
        boot_up(cast(MachineConfig, None), loaded, stack, Deadline(1, "booting"))


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
