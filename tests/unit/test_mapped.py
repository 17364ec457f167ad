"""Memory of another process read past QEMU: only where it is what QEMU itself reads."""

import ctypes
import os
from types import SimpleNamespace
from typing import Any

import pytest

from freeonce.machine.argv import Window
from freeonce.machine.mapped import mapped

SIZE = 4 * 4096
BASE = 4096


class Qemu:
    """Its guest's memory lies in ours. `hidden`: what it reads itself begins with another byte."""

    def __init__(self, hidden: bytes = b"", said: str = "{address:#x}") -> None:
        self.memory = ctypes.create_string_buffer(os.urandom(SIZE), SIZE)
        self._hidden = hidden
        self._said = said

    def execute(self, _: str, __: object) -> str:
        said = self._said.format(address=ctypes.addressof(self.memory))
        return f"Host virtual address for 0x0 (node0) is {said}\r\n"

    def read_memory(self, gpa: int, size: int) -> bytes:
        data = self.memory.raw[gpa : gpa + size]
        return self._hidden + data[len(self._hidden) :]


CONFIG: Any = SimpleNamespace(nodes=1, memory=SIZE, window=Window(BASE, 8192))
OURSELVES: Any = SimpleNamespace(pid=os.getpid())


def test_it_reads_what_stands_there_now() -> None:
    qemu: Any = Qemu()
    with mapped(CONFIG, OURSELVES, qemu) as memory:
        assert memory is not None
        assert memory.read(0, SIZE) == qemu.memory.raw
        qemu.memory[5] = b"\x00" if qemu.memory[5] != b"\x00" else b"\x01"
        assert memory.read(5, 1) == qemu.memory[5]


@pytest.mark.parametrize(("gpa", "size"), [(-1, 1), (0, SIZE + 1), (SIZE, 1), (1 << 62, 1)])
def test_what_lies_outside_of_the_guest_is_not_read(gpa: int, size: int) -> None:
    with mapped(CONFIG, OURSELVES, Qemu()) as memory:  # type: ignore[arg-type]
        assert memory is not None
        with pytest.raises(OSError, match="outside"):
            memory.read(gpa, size)


@pytest.mark.parametrize(
    "qemu",
    [Qemu(hidden=b"other"), Qemu(said="0x1000"), Qemu(said="nowhere"), Qemu(said="{address}")],
    ids=["another's", "nothing there", "no address", "no hexadecimal one"],
)
def test_where_it_is_not_what_qemu_reads_there_is_none(qemu: Any) -> None:
    with mapped(CONFIG, OURSELVES, qemu) as memory:
        assert memory is None


def test_of_nodes_and_of_another_mans_process_there_is_none() -> None:
    nodes: Any = SimpleNamespace(nodes=2, memory=SIZE, window=Window(BASE, 8192))
    with mapped(nodes, OURSELVES, Qemu()) as memory:  # type: ignore[arg-type]
        assert memory is None
    nobody: Any = SimpleNamespace(pid=1 << 30)
    with mapped(CONFIG, nobody, Qemu()) as memory:  # type: ignore[arg-type]
        assert memory is None
