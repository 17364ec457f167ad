"""QEMU with its lines: process, QMP and console, all of them or none."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from freeonce.deadline import Deadline
from freeonce.errors import GuestLost, HostError
from freeonce.machine.console import Console, console
from freeonce.machine.monitor import Monitor, monitor
from freeonce.machine.process import Process, qemu_process


@dataclass(frozen=True)
class Started:
    """A QEMU that answers."""

    process: Process
    monitor: Monitor
    console: Console


@contextmanager
def started(
    argv: Sequence[str], folder: Path, deadline: Deadline, files: Sequence[int] = ()
) -> Iterator[Started]:
    """Start QEMU with `-S` and connect; its CPUs stand still. Ended when the block ends.

    `files`: descriptors that it inherits. Raises HostError when QEMU refuses.
    """
    with ExitStack() as stack:
        process = stack.enter_context(qemu_process(argv, folder, files))
        try:
            line = stack.enter_context(monitor(folder, deadline, process.check))
            process.check()
        except GuestLost as lost:
            # Before a guest ever ran: what QEMU refuses is this host's matter.
            raise HostError("qemu-refused", str(lost)) from lost
        yield Started(process, line, stack.enter_context(console(folder)))
