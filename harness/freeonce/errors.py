"""What can go wrong, one class for each thing a caller can do about it."""

from enum import StrEnum


class FreeonceError(Exception):
    """The root of all errors that freeonce raises on purpose."""


class UsageError(FreeonceError):
    """The caller asked for something that does not exist. Exit status 2."""


class HostError(FreeonceError):
    """This host cannot do it. Exit status 3.

    `reason` is a short, stable word for programs; the message is for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Obstacle(StrEnum):
    """Why a subject cannot be judged, or not to its end. Stable words for programs."""

    NO_ELF = "no-elf"
    WRONG_MACHINE = "wrong-machine"
    """An ELF file, but not for x86-64."""
    NOT_A_MODULE = "not-a-module"
    """No relocatable file, or without what the kernel needs to know of a module."""
    NO_SYMBOLS = "no-symbols"
    WRONG_KERNEL = "wrong-kernel"
    DAMAGED = "damaged"
    TOO_BIG = "too-big"
    MISSING_MODULE = "missing-module"
    DOES_NOT_BUILD = "does-not-build"
    DOES_NOT_LOAD = "does-not-load"
    HANGS_IN_INIT = "hangs-in-init"
    EXERCISE_FAILED = "exercise-failed"
    DOES_NOT_UNLOAD = "does-not-unload"
    GUEST_LOST = "guest-lost"
    UNTOLD_VMRUN = "untold-vmrun"
    """Its code gives the CPU memory by an instruction that is not patched, and may have run."""
    NOT_DRAINED = "not-drained"
    """Its ledger grew faster, or longer, than the host took it."""
    NOT_QUIET = "not-quiet"
    """What the subject began still goes on after its end."""


class SubjectError(FreeonceError):
    """A subject is not what can be judged, or does not do what it should. Never clean.

    `reason` is for programs; the message says what is wrong and what to do.
    """

    def __init__(self, reason: Obstacle, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Loss(StrEnum):
    """How a guest was lost."""

    QEMU = "qemu"
    """QEMU itself ended, or no longer answers."""
    PANIC = "panic"
    OOPS = "oops"
    RUST_PANIC = "rust-panic"
    RESET = "reset"
    """The CPU reset, as after a triple fault, or the guest powered off."""
    HANG = "hang"
    """A deadline passed."""
    SSH = "ssh"
    """The guest runs, but SSH to it broke."""
    CONTROL = "control"
    """The guest runs, but its control line broke, or says what is no answer."""
    LEDGER = "ledger"
    """The window holds no ledger any more."""


class GuestLost(FreeonceError):
    """The guest is gone or no longer answers; only a new one helps.

    `console` holds the last lines of its console.
    """

    def __init__(self, message: str, console: str = "", loss: Loss = Loss.QEMU) -> None:
        super().__init__(message)
        self.console = console
        self.loss = loss


class DeadlineExceeded(GuestLost):
    """The guest did not get there in time."""

    def __init__(self, message: str) -> None:
        super().__init__(message, loss=Loss.HANG)


class OuterLost(GuestLost):
    """The outer machine of the KVM lane is gone: nothing is known of what ran in it.

    Exit status 5: QEMU's emulation of nested SVM may hang, which says nothing of freeonce.
    """


class CommandFailed(FreeonceError):
    """A command in the guest ended with another status than 0; the guest lives.

    `error`: the error number that the guest's control line answered with, 0 for none.
    """

    def __init__(self, message: str, error: int = 0) -> None:
        super().__init__(message)
        self.error = error


class EvidenceError(FreeonceError):
    """What was read from the guest is no evidence: damaged, hostile or of another version."""
