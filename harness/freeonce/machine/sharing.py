"""The guest's console for other clients: its owner forwards what it prints, and what they type.

QEMU's own socket takes one client, which is the owner. Other clients connect to `others.sock` in
the guest's folder, and may come and go: neither guest nor owner waits for them.
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
    """Share a console until the block ends. Nobody may wait for a text on it meanwhile."""
    with ExitStack() as stack:
        door = stack.enter_context(socket.socket(socket.AF_UNIX))
        door.bind(str(folder / SOCKET))
        door.listen()
        here, there = map(stack.enter_context, socket.socketpair())
        end = partial(here.shutdown, socket.SHUT_RDWR)
        stack.enter_context(beside(partial(_serve, console, door, there), end))
        yield


def _serve(console: Console, door: socket.socket, over: socket.socket) -> None:
    """Forward until `over` is shut down or the guest is gone."""
    # The listening socket closes with this thread: a client would wait for ever in its queue.
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
    """The clients that are attached, each with what is closed with it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._there: dict[socket.socket, ExitStack] = {}

    def __exit__(self, *_: object) -> None:
        for other in list(self._there):
            self.part(other)

    def welcome(self, door: socket.socket) -> socket.socket | None:
        """The next client; None when it is gone, or when no descriptor is free now."""
        try:
            other = door.accept()[0]
        except OSError:
            # Without a free descriptor the client stays in the queue: do not spin meanwhile.
            time.sleep(ROOM_SECONDS)
            return None
        stack = self._there[other] = ExitStack()
        stack.enter_context(other)
        stack.enter_context(_listening(self._console, other))
        return other

    def part(self, other: socket.socket) -> None:
        """Close the connection to a client."""
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
    # A client that does not read loses output, since the guest must not wait for it. One that is
    # gone is dropped when its end is read.
    with suppress(OSError):
        other.send(data, socket.MSG_DONTWAIT)


def _typed(console: Console, other: socket.socket) -> bool:
    """Forward what a client typed. False when it is gone."""
    try:
        data = other.recv(TYPED_BYTES)
    except OSError:
        return False
    console.send(data)
    return bool(data)
