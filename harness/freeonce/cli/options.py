"""Options that several verbs have."""

import math
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from freeonce.project.machine import CPUS, Machine, split_arguments

Command = TypeVar("Command", bound=Callable[..., Any])

LOOPBACK = "127.0.0.1"


class Seconds(click.FloatRange):
    """A time to wait. `nan` is within any range, and no deadline is ever past it."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Fails unless it is a number of seconds within the range."""
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return seconds


class Address(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """Where to listen: a port, on this machine alone unless a host stands before it."""

    name = "[HOST:]PORT"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Fails for what is none."""
        host, _, port = str(value).rpartition(":")
        if not port.isdecimal() or int(port) > 0xFFFF:
            self.fail(f"{value!r} is no address; write PORT or HOST:PORT", param, ctx)
        return host.strip("[]") or LOOPBACK, int(port)


accelerator_option = click.option(
    "--accel",
    type=click.Choice(["auto", "kvm", "tcg"]),
    default="auto",
    show_default=True,
    help="What runs the guest; auto means KVM where KVM was seen to run one, else TCG.",
)


shared_option = click.option(
    "--shared-guest", "shared", is_flag=True, help="Run all scenarios in one guest, without clones."
)

jobs_option = click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=1),
    help="Number of clones at a time. Default: by cores and free memory.",
)


_MACHINE_OPTIONS = (
    click.option(
        "--memory",
        type=int,
        default=Machine.memory,
        show_default=True,
        metavar="MIB",
        help="The guest's memory.",
    ),
    click.option(
        "--cpus",
        type=int,
        help=f"The guest's CPUs. [default: {CPUS}; in a guest of its own: as a scenario declares]",
    ),
    click.option(
        "--append",
        multiple=True,
        metavar="ARGS",
        help="Arguments to add to the kernel's command line.",
    ),
    click.option(
        "--qemu-arg",
        "qemu_arg",
        multiple=True,
        metavar="ARG",
        help="Arguments to add for QEMU, split as by a shell: '-device nvme,drive=d'.",
    ),
)


def machine_options(command: Command) -> Command:
    """The options for the guest's machine, passed on as one `machine`."""

    @wraps(command)
    def combined(
        *args: Any,
        memory: int,
        cpus: int | None,
        append: tuple[str, ...],
        qemu_arg: tuple[str, ...],
        **rest: Any,
    ) -> Any:
        machine = Machine(memory, cpus, " ".join(append), split_arguments(qemu_arg))
        return command(*args, machine=machine, **rest)

    wrapped = combined
    for option in reversed(_MACHINE_OPTIONS):
        wrapped = option(wrapped)
    return cast(Command, wrapped)


def output_option(name: str, text: str) -> Callable[[Command], Command]:
    """An option that names a file to write, passed on as `NAME_file`."""
    parameter = f"{name.removeprefix('--').replace('-', '_')}_file"
    return click.option(name, parameter, type=click.Path(path_type=Path), help=text)
