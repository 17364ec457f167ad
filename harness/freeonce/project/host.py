"""What this machine can do, and why not."""

import fcntl
import os
import re
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from freeonce.deadline import Deadline
from freeonce.errors import HostError

KVM = Path("/dev/kvm")
CGROUP = Path("/sys/fs/cgroup")
OUR_CGROUP = Path("/proc/self/cgroup")
UNLIMITED = 1 << 62
RECLAIMABLE = ("active_file", "inactive_file", "slab_reclaimable")
QEMU_VARIABLE = "FREEONCE_QEMU"
QEMU_DEFAULT = "qemu-system-x86_64"
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
"""What breaks out of a guest starts no program and gains no privilege (qemu(1), -sandbox)."""
VERSION_SECONDS = 30.0
OLDEST_QEMU = (7, 2)

# include/uapi/linux/kvm.h
KVM_GET_API_VERSION = 0xAE00
KVM_API_VERSION = 12
KVM_GET_SUPPORTED_CPUID = 0xC008AE05
CPUID_ENTRY = struct.Struct("<10I")
MAX_CPUID_ENTRIES = 512

# AMD manual volume 3, CPUID Fn8000_0001_ECX[2]
SVM_LEAF = 0x8000_0001
SVM_BIT = 1 << 2


@dataclass(frozen=True)
class Qemu:
    """A QEMU program and its version. `sandbox`: whether it was built with `-sandbox`."""

    path: str
    version: str
    sandbox: bool = True


def find_qemu() -> Qemu:
    """QEMU, from $FREEONCE_QEMU or PATH. Raises HostError `no-qemu` or `old-qemu`."""
    name = os.environ.get(QEMU_VARIABLE) or QEMU_DEFAULT
    path = shutil.which(name)
    if path is None:
        raise HostError("no-qemu", f"{name} is not installed; run 'freeonce setup'")
    said, sandbox = _answer_of(path, "-sandbox", SANDBOX), True
    if "version" not in said:
        said, sandbox = _answer_of(path), False
    match = re.search(r"version ((\d+)\.(\d+)(?:\.\d+)?)", said)
    if match is None:
        raise HostError("no-qemu", f"{path} --version does not name a version: {said[:100]!r}")
    if (int(match[2]), int(match[3])) < OLDEST_QEMU:
        raise HostError("old-qemu", f"QEMU {match[1]} is older than 7.2, whose SVM we rely on")
    return Qemu(path, match[1], sandbox)


def _answer_of(path: str, *before: str) -> str:
    """What it says when asked for its version, behind other arguments that it may refuse."""
    seconds = Deadline(VERSION_SECONDS, "asking QEMU for its version").left()
    try:
        done = subprocess.run(
            [path, *before, "--version"], capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        message = f"{path} --version did not answer within {error.timeout:g} s"
        raise HostError("no-qemu", message) from error
    except OSError as error:
        raise HostError("no-qemu", f"{path} does not start: {error.strerror}") from error
    return done.stdout.decode(errors="replace")


def kvm_obstacle(svm: bool = True) -> str | None:
    """Why KVM here cannot run guests, with `svm` SVM guests, as far as asking tells.

    None when it may. That /dev/kvm opens proves nothing: KVM on Intel, or without nested
    support, opens too, and on some machines it opens and no guest ever runs.
    """
    if not KVM.exists():
        return f"there is no {KVM}"
    try:
        device = os.open(KVM, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return f"{KVM} does not open: {error.strerror}"
    try:
        if fcntl.ioctl(device, KVM_GET_API_VERSION) != KVM_API_VERSION:
            return f"{KVM} has another API version than {KVM_API_VERSION}"
        leaves = _supported_cpuid(device)
    except OSError as error:
        return f"{KVM} refuses KVM_GET_SUPPORTED_CPUID: {error.strerror}"
    finally:
        os.close(device)
    if svm and not leaves.get(SVM_LEAF, 0) & SVM_BIT:
        return f"{KVM} opens, but KVM offers guests no SVM (CPUID Fn8000_0001_ECX[2] is 0)"
    return None


def _supported_cpuid(device: int) -> dict[int, int]:
    """ECX by leaf, of KVM_GET_SUPPORTED_CPUID."""
    size = 8 + MAX_CPUID_ENTRIES * CPUID_ENTRY.size
    buffer = bytearray(size)
    struct.pack_into("<II", buffer, 0, MAX_CPUID_ENTRIES, 0)
    fcntl.ioctl(device, KVM_GET_SUPPORTED_CPUID, buffer)
    count = min(struct.unpack_from("<I", buffer)[0], MAX_CPUID_ENTRIES)
    entries = (CPUID_ENTRY.unpack_from(buffer, 8 + i * CPUID_ENTRY.size) for i in range(count))
    return {entry[0]: entry[5] for entry in entries}


def cores() -> int:
    """How many CPUs we may use, or the whole CPUs of time that a control group allows, if less."""
    return max(1, min(len(os.sched_getaffinity(0)), *map(_cpus_of, _control_groups()), 1 << 20))


def free_memory() -> int:
    """Bytes that new programs can take without swapping (proc(5), MemAvailable).

    Less where a control group allows less, ours or one above it.
    """
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    free = int(found[1]) << 10 if found else UNLIMITED
    return max(0, min(free, *map(_memory_of, _control_groups()), UNLIMITED))


def _control_groups() -> tuple[Path, ...]:
    """Ours and all above it (cgroups(7), version 2); nothing where there are others."""
    try:
        group = OUR_CGROUP.read_text().rsplit("0::/", 1)[1].strip()
    except (OSError, IndexError):
        return ()
    ours = CGROUP / group
    # Parents end at the folder that is mounted: what is above it nobody here sees.
    return tuple(one for one in (ours, *ours.parents) if one.is_relative_to(CGROUP))


def _cpus_of(group: Path) -> int:
    """Whole CPUs by `cpu.max`: microseconds of each period, or "max"."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return UNLIMITED


def _memory_of(group: Path) -> int:
    """Bytes that a group has left. Page cache is taken back when somebody needs it."""
    limits = [_number(group / name) for name in ("memory.max", "memory.high")]
    limit = min(UNLIMITED if one is None else one for one in limits)
    used = _number(group / "memory.current")
    return UNLIMITED if used is None else limit - max(0, used - _reclaimable(group))


def _reclaimable(group: Path) -> int:
    """Bytes of page cache and of slab caches. Not those of tmpfs, which are in neither list."""
    try:
        words = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return sum(int(words.get(name, 0)) for name in RECLAIMABLE)
    except (OSError, ValueError):
        return 0


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
