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
from freeonce.cli.setting import Setting
from freeonce.evidence.text import printable

NAME = "boot to first command, vng"
SECONDS = 120
SBIN = "/usr/sbin:/sbin"


def boots(setting: Setting, rounds: int) -> Figure:
    """The same as ours: from nothing to the answer of a first command."""
    path = os.environ.get("PATH", os.defpath) + f":{SBIN}"
    vng, depmod = shutil.which("vng", path=path), shutil.which("depmod", path=path)
    if vng is None or depmod is None:
        missing = "vng" if vng is None else "depmod, which vng needs,"
        return Figure(NAME, "s", (), note=f"{missing} is not installed")
    with tempfile.TemporaryDirectory(prefix="freeonce-vng-") as folder:
        kernel = _installed(setting.image.manifest.parent / "kernel", Path(folder), depmod)
        arguments = ["-r", str(kernel), "--cpus", str(setting.config().cpus)]
        if setting.accelerator.name == "tcg":
            arguments.append("--disable-kvm")
        samples = []
        for _ in range(rounds):
            start = time.perf_counter()
            said = _run(vng, [*arguments, "--", "uname", "-r"], path)
            samples.append(time.perf_counter() - start)
            if setting.image.release not in said.splitlines():
                why = said.strip().splitlines()[-1:] or ["it said nothing"]
                return Figure(NAME, "s", (), note=f"vng cannot boot this kernel: {why[0][:60]}")
    return Figure(NAME, "s", tuple(samples))


def _installed(kernel: Path, root: Path, depmod: str) -> Path:
    """The kernel package as vng expects it: as if installed, with its modules indexed."""
    release = (kernel / "release").read_text().strip()
    modules = root / "lib/modules" / release
    shutil.copytree((kernel / "modules").resolve(), modules, symlinks=True)
    subprocess.run([depmod, "-b", str(root), release], check=True, capture_output=True)
    (root / "boot").mkdir()
    return Path(shutil.copy(kernel / "bzImage", root / f"boot/vmlinuz-{release}"))


def _run(vng: str, arguments: list[str], path: str) -> str:
    """What it printed. It wants a terminal; its QEMU goes with the terminal's session."""
    environment = {**os.environ, "PATH": path}
    child = pexpect.spawn(
        vng, arguments, env=environment, timeout=SECONDS, echo=False, encoding="utf-8"
    )
    try:
        child.expect([pexpect.EOF, pexpect.TIMEOUT])
        return printable((child.before or "").replace("\r", ""))
    finally:
        with suppress(ProcessLookupError):
            assert child.pid is not None
            os.killpg(child.pid, signal.SIGKILL)
        child.close(force=True)
