"""The guest's memory as QEMU has it mapped: read past QEMU, which is busy with the guest.

A page takes a millisecond of QEMU and of us by QMP, and microseconds this way. The guest goes on
meanwhile.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from freeonce.machine.argv import MachineConfig
from freeonce.machine.monitor import Monitor
from freeonce.machine.process import Process

ADDRESS = re.compile(r"^Host virtual address for 0x0 \(node0\) is (?:0x)?([0-9a-f]{1,16})\s*$")
PROBED = 4096


class Mapped:
    """Guest-physical memory from 0 on, at `address` of the process whose memory `file` is."""

    def __init__(self, file: int, address: int, size: int) -> None:
        self._file = file
        self._address = address
        self._size = size

    def read(self, gpa: int, size: int) -> bytes:
        """Raises OSError when it is not there."""
        if not 0 <= gpa <= gpa + size <= self._size:
            raise OSError(f"{gpa:#x} lies outside of the guest's memory")
        data = os.pread(self._file, size, self._address + gpa)
        if len(data) != size:
            raise OSError(f"of {size} bytes at {gpa:#x} {len(data)} could be read")
        return data


@contextmanager
def mapped(config: MachineConfig, process: Process, line: Monitor) -> Iterator[Mapped | None]:
    """None where it cannot be had: the system forbids it, a program stands around QEMU, or nodes.

    Of the ledger's header, which stands still between runs, it must read what QEMU does. Raises
    GuestLost when QEMU is gone.
    """
    address = _address(line) if config.nodes == 1 else None
    try:
        file = os.open(f"/proc/{process.pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        memory = Mapped(file, address, config.memory) if address is not None else None
        yield memory if memory is not None and _same(memory, line, config.window.base) else None
    finally:
        os.close(file)


def _address(line: Monitor) -> int | None:
    command = {"command-line": "gpa2hva 0"}
    said = ADDRESS.match(str(line.execute("human-monitor-command", command)))
    return int(said[1], 16) if said else None


def _same(memory: Mapped, line: Monitor, gpa: int) -> bool:
    try:
        return memory.read(gpa, PROBED) == line.read_memory(gpa, PROBED)
    except OSError:
        return False
