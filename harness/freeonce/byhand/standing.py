"""Symbols of modules that are loaded under gdb: where they lie is known when the guest stands."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from freeonce.beside import beside
from freeonce.byhand.debugger import subject_commands
from freeonce.errors import FreeonceError
from freeonce.evidence.ledger import parse_records
from freeonce.evidence.stacks import told
from freeonce.guest import Guest
from freeonce.subject.module import Module

LOOK_SECONDS = 0.05


@contextmanager
def symbols_when_it_stands(
    guest: Guest, first: int, modules: Mapping[str, Module], into: Path
) -> Iterator[None]:
    """Write gdb's commands for them to a file, once gdb holds a guest that has begun.

    `first`: the record that is the first of its life. Nobody else uses the monitor in the block.
    """
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_SECONDS):
            try:
                if guest.header().count > first and guest.monitor.status() != "running":
                    _write(guest, first, modules, into)
                    return
            except FreeonceError:
                # gdb waits for the file, and goes on without symbols.
                into.touch()
                return

    with beside(look, over.set):
        yield


def _write(guest: Guest, first: int, modules: Mapping[str, Module], into: Path) -> None:
    _, data = guest.window(first)
    lines = subject_commands(modules, told(parse_records(data, first).records))
    # Whole at once: gdb reads it as soon as it is there.
    scratch = into.with_suffix(".new")
    scratch.write_text("".join(f"{line}\n" for line in lines))
    scratch.rename(into)
