"""virtme-ng, the tool that one would take instead: one command in a fresh guest.

An optional peer: measured when `vng` is installed and can boot our kernel package.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pexpect

from freeonce.bench.figure import Figure
from freeonce.project.setting import Setting

RAN = "vng, until its command ran"
WHOLE = "vng, one command"
SECONDS = 120.0
POLL_SECONDS = 0.01
SBIN = "/usr/sbin:/sbin"


def boots(setting: Setting, rounds: int) -> tuple[Figure, Figure]:
    """From nothing until a command ran in the guest, and until vng ended."""
    path = os.environ.get("PATH", os.defpath) + f":{SBIN}"
    for tool in ("vng", "depmod"):
        if shutil.which(tool, path=path) is None:
            note = f"{tool} is not installed"
            return Figure(RAN, "s", (), note=note), Figure(WHOLE, "s", (), note=note)
    with tempfile.TemporaryDirectory(prefix="freeonce-vng-") as folder:
        kernel = _installed(setting.image.manifest.parent / "kernel", Path(folder), path)
        arguments = ["-r", str(kernel), "--cpus", str(setting.config().cpus), "--rwdir", folder]
        if setting.accelerator.name == "tcg":
            arguments.append("--disable-kvm")
        samples = [_once(arguments, Path(folder) / f"ran{n}", path) for n in range(rounds)]
    if None in samples:
        note = "vng does not run a command on this kernel"
        return Figure(RAN, "s", (), note=note), Figure(WHOLE, "s", (), note=note)
    ran, whole = zip(*filter(None, samples), strict=True)
    return Figure(RAN, "s", ran), Figure(WHOLE, "s", whole)


def _installed(kernel: Path, root: Path, path: str) -> Path:
    """The kernel package as vng expects it: as if installed, with its modules indexed."""
    release = (kernel / "release").read_text().strip()
    modules = root / "lib/modules" / release
    shutil.copytree((kernel / "modules").resolve(), modules, symlinks=True)
    depmod = str(shutil.which("depmod", path=path))
    subprocess.run([depmod, "-b", str(root), release], check=True, capture_output=True)
    (root / "boot").mkdir()
    return Path(shutil.copy(kernel / "bzImage", root / f"boot/vmlinuz-{release}"))


def _once(arguments: list[str], mark: Path, path: str) -> tuple[float, float] | None:
    """Seconds until the command in the guest made a file of ours, and until the end.

    By a file, as what it prints needs udev in the guest. None when it never came.
    """
    start = time.perf_counter()
    # It wants a terminal; its QEMU goes with the terminal's session.
    child = pexpect.spawn(
        str(shutil.which("vng", path=path)),
        [*arguments, "--", "touch", str(mark)],
        env={**os.environ, "PATH": path},
    )
    ran = None
    try:
        while child.isalive() and time.perf_counter() - start < SECONDS:
            if ran is None and mark.exists():
                ran = time.perf_counter() - start
            with suppress(pexpect.TIMEOUT, pexpect.EOF):
                child.read_nonblocking(1 << 16, timeout=POLL_SECONDS)
            time.sleep(POLL_SECONDS)
        return None if ran is None else (ran, time.perf_counter() - start)
    finally:
        assert child.pid is not None
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.close(force=True)
