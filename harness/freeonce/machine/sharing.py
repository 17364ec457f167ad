"""The guest's console for others: its owner hands on what it prints, and what they type.

QEMU's own socket takes one client, which is the owner. Who else is interested connects to
`others.sock` in the guest's folder, and may come and go: neither guest nor owner waits for them.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

from freeonce.beside import beside
from freeonce.machine.console import Console

SOCKET = "others.sock"
TYPED_BYTES = 4096
ROOM_SECONDS = 0.1


@contextmanager
def shared(console: Console, folder: Path) -> Iterator[None]:
    """Let others at a console, until the block ends. Nobody may wait for a text on it meanwhile."""
    with ExitStack() as stack:
        door = stack.enter_context(socket.socket(socket.AF_UNIX))
        door.bind(str(folder / SOCKET))
        door.listen()
        here, there = map(stack.enter_context, socket.socketpair())
        end = partial(here.shutdown, socket.SHUT_RDWR)
        stack.enter_context(beside(partial(_serve, console, door, there), end))
        yield


def _serve(console: Console, door: socket.socket, over: socket.socket) -> None:
    """Hand on, until it is over or the guest is gone."""
    # With nobody behind it the door is shut: who came then would wait for ever.
    with _Others(console) as others, DefaultSelector() as selector, door:
        selector.register(console, EVENT_READ)
        selector.register(door, EVENT_READ)
        selector.register(over, EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if over in ready or (console in ready and not console.drain()):
                return
            for source in ready:
                if source is door:
                    other = others.welcome(door)
                    if other is not None:
                        selector.register(other, EVENT_READ)
                elif isinstance(source, socket.socket) and not _typed(console, source):
                    selector.unregister(source)
                    others.part(source)


class _Others(AbstractContextManager["_Others"]):
    """Who is attached, each with what goes when they go."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._there: dict[socket.socket, ExitStack] = {}

    def __exit__(self, *_: object) -> None:
        for other in list(self._there):
            self.part(other)

    def welcome(self, door: socket.socket) -> socket.socket | None:
        """Who stands at the door; None when they went, or there is no room for them now."""
        try:
            other = door.accept()[0]
        except OSError:
            # They still stand there when we lack a descriptor; not to turn round for nothing:
            time.sleep(ROOM_SECONDS)
            return None
        stack = self._there[other] = ExitStack()
        stack.enter_context(other)
        stack.enter_context(_listening(self._console, other))
        return other

    def part(self, other: socket.socket) -> None:
        """Let them go."""
        self._there.pop(other).close()


@contextmanager
def _listening(console: Console, other: socket.socket) -> Iterator[None]:
    listener = partial(_hand_on, other)
    console.join(listener)
    try:
        yield
    finally:
        console.leave(listener)


def _hand_on(other: socket.socket, data: bytes) -> None:
    # Who does not read misses something: the guest must not wait for them. Who went, hears nothing.
    with suppress(OSError):
        other.send(data, socket.MSG_DONTWAIT)


def _typed(console: Console, other: socket.socket) -> bool:
    """Pass on what somebody typed. False when they went."""
    try:
        data = other.recv(TYPED_BYTES)
    except OSError:
        return False
    console.send(data)
    return bool(data)
