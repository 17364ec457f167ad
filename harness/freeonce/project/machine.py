"""What a user may choose of the guest's machine."""

import re
import shlex
from dataclasses import dataclass

from freeonce.errors import UsageError

LEAST_MEMORY = 160
"""MiB. The ledger's window ends at 136, and a kernel needs memory above it, too."""
MOST_MEMORY = 2560
"""MiB. With more, q35 moves a part above 4 GiB, and an address is no offset any more."""
MOST_CPUS = 64
CPUS = 2
"""Where neither a user says how many, nor a scenario."""
COMMAND_LINE_BYTES = 1024
"""Of the 2048 that the kernel takes (COMMAND_LINE_SIZE); the others are ours."""
OUR_PARAMETERS = ("console", "memmap", "oops", "panic")
OUR_ARGUMENTS: dict[str, str | None] = {
    "-accel": "--accel",
    "-enable-kvm": "--accel kvm",
    "-append": "--append",
    "-m": "--memory",
    "-smp": "--cpus",
    **dict.fromkeys(("-cpu", "-machine", "-M", "-kernel", "-initrd", "-incoming", "-loadvm")),
    **dict.fromkeys(("-S", "-daemonize", "-sandbox", "-nodefaults", "-action", "-snapshot")),
    **dict.fromkeys(("-h", "-help", "-version", "-runas", "-chroot", "-pidfile")),
}
"""QEMU's arguments that we give it ourselves, or that end it, with the option to use instead."""


@dataclass(frozen=True)
class Machine:
    """`memory`: MiB. `cpus`: None for as many as what runs there needs. `append`: for the kernel's
    command line. `qemu`: arguments for QEMU.

    All of it is part of a template's key.
    """

    memory: int = 256
    cpus: int | None = None
    append: str = ""
    qemu: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise UsageError for what could not work, with what to do."""
        if not LEAST_MEMORY <= self.memory <= MOST_MEMORY:
            raise UsageError(f"--memory {self.memory}: from {LEAST_MEMORY} to {MOST_MEMORY} MiB")
        if self.cpus is not None and not 1 <= self.cpus <= MOST_CPUS:
            raise UsageError(f"--cpus {self.cpus}: from 1 to {MOST_CPUS}")
        _check_append(self.append)
        for argument in self.qemu:
            _check_argument(argument)

    def __str__(self) -> str:
        said = [f"{self.memory} MiB"]
        said += [f"{self.cpus} CPU{'s' if self.cpus > 1 else ''}"] if self.cpus else []
        said += [f"kernel arguments '{self.append}'"] if self.append else []
        said += [f"QEMU arguments '{shlex.join(self.qemu)}'"] if self.qemu else []
        return ", ".join(said)


def split_arguments(given: tuple[str, ...]) -> tuple[str, ...]:
    """The arguments in each of the texts, as a shell would split it. Raises UsageError."""
    try:
        return tuple(one for text in given for one in shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--qemu-arg: {error}") from error


def _check_append(append: str) -> None:
    if not append.isprintable():
        raise UsageError("--append: a kernel's command line is one line of printable characters")
    if len(append.encode()) > COMMAND_LINE_BYTES:
        raise UsageError(f"--append: more than {COMMAND_LINE_BYTES} bytes")
    for word in append.split():
        name = word.partition("=")[0]
        if name in OUR_PARAMETERS:
            raise UsageError(f"--append: {name}= is set by freeonce itself, which relies on it")
        if word == "--":
            raise UsageError("--append: arguments after -- are for init, which is freeonce's own")


def _check_argument(argument: str) -> None:
    if "\0" in argument:
        raise UsageError("--qemu-arg: an argument cannot contain a zero byte")
    # QEMU takes two dashes for one.
    name = re.sub("^--", "-", argument)
    if name in OUR_ARGUMENTS:
        instead = OUR_ARGUMENTS[name]
        what = f"use {instead}" if instead else "freeonce sets it itself, or cannot work with it"
        raise UsageError(f"--qemu-arg: {argument}: {what}")
