"""`freeonce doctor`: what this host can do, why not, and what to do about it."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from freeonce.cli.output import Out
from freeonce.errors import HostError
from freeonce.machine.argv import MachineConfig
from freeonce.machine.template import place_for
from freeonce.project.accelerator import choose_accelerator
from freeonce.project.chosen import chosen_image
from freeonce.project.host import find_qemu, kvm_obstacle
from freeonce.project.image import load_image
from freeonce.report.lines import put

SCHEMA = "freeonce/doctor/1"
HOST = 3


@dataclass(frozen=True)
class Check:
    """One thing looked at. `needed`: `run` cannot do without."""

    name: str
    ok: bool
    needed: bool
    detail: str


def _checked(name: str, needed: bool, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, needed, look())
    except HostError as error:
        return Check(name, False, needed, str(error))


def _kvm() -> str:
    obstacle = kvm_obstacle()
    if obstacle is not None:
        raise HostError("no-kvm", obstacle)
    return "offers guests SVM"


def _nested() -> str:
    for module in ("kvm_amd", "kvm_intel"):
        try:
            with open(f"/sys/module/{module}/parameters/nested") as file:
                value = file.read().strip()
        except OSError:
            continue
        if module == "kvm_amd" and value in ("1", "Y"):
            return "kvm_amd has nested=1"
        raise HostError("no-nested", f"{module} has nested={value}, not kvm_amd nested=1")
    raise HostError("no-nested", "neither kvm_amd nor kvm_intel is loaded")


def _image() -> str:
    image = load_image(chosen_image(scenarios=False))
    return (
        f"kernel {image.release} ({image.protocol}), Rust {image.rust}, "
        f"module {image.module_sha256[:12]}"
    )


def _toolchain() -> str:
    image = load_image(chosen_image(scenarios=False))
    if not os.access(image.rustc, os.X_OK):
        raise HostError("no-rust", f"{image.rustc}, which made the image, is gone")
    return f"{image.rust} at {image.rustc}"


def _qemu() -> str:
    qemu = find_qemu()
    return f"{qemu.version} at {qemu.path}"


def _accelerator(svm: bool, anew: bool) -> str:
    try:
        image = load_image(chosen_image(scenarios=False))
    except HostError:
        # Told by a check of its own.
        image = None
    chosen = choose_accelerator("auto", find_qemu(), svm, image, anew=anew)
    return f"{chosen.name}: {chosen.reason}"


def _templates() -> str:
    config = MachineConfig("", "", Path(), Path(), "")
    return f"clones begin from files in {place_for(config)}"


def _tools() -> str:
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    tools = (
        *("make", "gcc", "ld", "cpio", "xz", "lz4", "zstd", "flock", "xargs"),
        *("ssh-keygen", "busybox", "dropbear", "dropbearconvert"),
    )
    missing = [tool for tool in tools if shutil.which(tool, path=path) is None]
    if missing:
        raise HostError("no-tools", f"missing: {', '.join(missing)}; run 'freeonce setup'")
    return "all there"


def checks(anew: bool = False) -> tuple[Check, ...]:
    """Everything looked at, in order. `anew`: also what was found out since this host booted."""
    return (
        _checked("QEMU", True, _qemu),
        _checked("image", True, _image),
        _checked("Rust toolchain", False, _toolchain),
        _checked("build tools", False, _tools),
        _checked("KVM with SVM", False, _kvm),
        _checked("nested SVM", False, _nested),
        _checked("accelerator for run", True, lambda: _accelerator(True, anew)),
        _checked("accelerator for audit", False, lambda: _accelerator(False, anew)),
        _checked("room for templates", False, _templates),
    )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--anew", is_flag=True, help="Test KVM again, although it failed since this host booted."
)
@click.pass_context
def doctor(context: click.Context, as_json: bool, anew: bool) -> None:
    """Say what this host can do, and which accelerator `run` will take."""
    done = checks(anew)
    usable = all(check.ok for check in done if check.needed)
    if as_json:
        document = {"schema": SCHEMA, "ok": usable, "checks": [asdict(check) for check in done]}
        click.echo(json.dumps(document, indent=1))
    else:
        table = Table(box=None, show_header=False, pad_edge=False)
        for check in done:
            bad = "missing" if check.needed else "no"
            mark = Text("ok", "green") if check.ok else Text(bad, "red")
            table.add_row(Text(check.name, "bold"), mark, Text(check.detail))
        console = Out(highlight=False)
        put(console, table)
        console.print("run can go ahead" if usable else "run cannot go ahead")
    context.exit(0 if usable else HOST)
