"""The user's terminal on a guest's console, until the user detaches or the guest is gone."""

import codecs
import os
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import IO

from freeonce.errors import GuestLost
from freeonce.evidence.text import without_controls

DETACH = b"\x1d"
"""Ctrl-], as with telnet and virsh."""
LEAVE = "Ctrl-] detaches"
READ_BYTES = 4096
ALLOWED = "\n\r\t\b"
"""What a teletype does. More would be the guest's hand on the user's terminal."""


def attach(line: Path) -> bool:
    """Show the console behind a socket on stdout, and type on it if stdin is a terminal.

    Returns True when the user detached, False when the guest is gone. Raises GuestLost when it
    was gone already.
    """
    with socket.socket(socket.AF_UNIX) as console:
        try:
            console.connect(str(line))
        except OSError as error:
            raise GuestLost(f"the guest is gone: {error.strerror}") from error
        with DefaultSelector() as selector, _raw(sys.stdin):
            selector.register(console, EVENT_READ)
            if sys.stdin.isatty():
                selector.register(sys.stdin, EVENT_READ)
            return _pass_on(console, selector)


def _pass_on(console: socket.socket, selector: DefaultSelector) -> bool:
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    while True:
        ready = {key.fileobj for key, _ in selector.select()}
        if console in ready:
            said = _said(console)
            if not said:
                return False
            sys.stdout.write(without_controls(decode(said), ALLOWED))
            sys.stdout.flush()
        if sys.stdin in ready:
            keys = os.read(sys.stdin.fileno(), READ_BYTES)
            # When the guest just went, the next look at the console says so.
            with suppress(OSError):
                console.sendall(keys.partition(DETACH)[0])
            if not keys or DETACH in keys:
                return True


def _said(console: socket.socket) -> bytes:
    """What came; nothing at the end, whichever way it ended."""
    try:
        return console.recv(READ_BYTES)
    except ConnectionError:
        return b""


@contextmanager
def _raw(terminal: IO[str]) -> Iterator[None]:
    """Every key comes as it is, Ctrl-C too: it is for the guest. What was typed before, too."""
    if not terminal.isatty():
        yield
        return
    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
