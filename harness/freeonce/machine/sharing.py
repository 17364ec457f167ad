"""The guest's console for others: its owner hands on what it prints, and what they type.

QEMU's own socket takes one client, which is the owner. Who else is interested connects to
`others.sock` in the guest's folder, and may come and go: neither guest nor owner waits for them.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

from freeonce.machine.console import Console

SOCKET = "others.sock"
TYPED_BYTES = 4096


@contextmanager
def shared(console: Console, folder: Path) -> Iterator[None]:
    """Let others at a console, until the block ends. Nobody may wait for a text on it meanwhile."""
    with ExitStack() as stack:
        door = stack.enter_context(socket.socket(socket.AF_UNIX))
        door.bind(str(folder / SOCKET))
        door.listen()
        here, there = map(stack.enter_context, socket.socketpair())
        # A daemon: an error that ends us must not wait for it.
        thread = threading.Thread(target=_serve, args=(console, door, there), daemon=True)
        thread.start()
        try:
            yield
        finally:
            here.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(console: Console, door: socket.socket, over: socket.socket) -> None:
    """Hand on, until it is over or the guest is gone."""
    # With nobody behind it the door is shut: who came then would wait for ever.
    with ExitStack() as others, DefaultSelector() as selector, door:
        selector.register(console, EVENT_READ)
        selector.register(door, EVENT_READ)
        selector.register(over, EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if over in ready or (console in ready and not console.drain()):
                return
            for source in ready:
                if source is door:
                    other = others.enter_context(door.accept()[0])
                    others.enter_context(_listening(console, other))
                    selector.register(other, EVENT_READ)
                elif isinstance(source, socket.socket) and not _typed(console, source):
                    selector.unregister(source)


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
