"""A worker of this machine: a process that does one task after the other, for as long as it is led.

Usage: python -m freeonce.campaign.local_worker DESCRIPTOR MODULE FUNCTION

Through the descriptor, a line of `multiprocessing.connection`, come tasks as text, and go answers.
Nothing is said when it has begun, and again every `BEAT_SECONDS`: one that is stopped does not.
"""

import ctypes
import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection

from freeonce.campaign import identity
from freeonce.campaign.outcome import broken, to_text

END_SECONDS = 10.0
"""In which the guest of a task that is given up is to be ended."""
BEAT_SECONDS = 5.0
PR_SET_PDEATHSIG = 1
"""include/uapi/linux/prctl.h; prctl(2)."""
_AT_WORK = threading.Event()
_SPEAKING = threading.Lock()


def main() -> None:
    """Until nobody is there at the other end."""
    number, module, function = sys.argv[1:]
    descriptor = int(number)
    # Else a program that is begun here would hold the line when we are gone.
    os.set_inheritable(descriptor, False)
    # In the background of a shell it is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Stopped we would not see that who leads us was killed; else it does nothing.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGCONT)
    with suppress(KeyboardInterrupt, EOFError, OSError):
        _serve(Connection(descriptor), getattr(import_module(module), function))
    # No matter whether we were interrupted just now.
    os._exit(0)


def _serve(line: "Connection[bytes, bytes]", work: Callable[[str], str]) -> None:
    identity.KNOWN.update(json.loads(line.recv_bytes()))
    _say(line, "")
    threading.Thread(target=_watch, args=(line,), daemon=True).start()
    while True:
        _say(line, _done(work, line.recv_bytes().decode()))


def _say(line: "Connection[bytes, bytes]", text: str) -> None:
    with _SPEAKING:
        line.send_bytes(text.encode())


def _done(work: Callable[[str], str], text: str) -> str:
    _AT_WORK.set()
    try:
        return work(text)
    except Exception as error:
        return to_text(broken(error))
    finally:
        _AT_WORK.clear()


def _watch(line: "Connection[bytes, bytes]") -> None:
    """Whoever leads us may be killed while we are at a task: its guest is to end then, and we."""
    poll = select.poll()
    # That the other end is gone is told without being asked for.
    poll.register(line.fileno(), 0)
    with suppress(OSError):
        while not poll.poll(BEAT_SECONDS * 1000):
            _say(line, "")
    if _AT_WORK.is_set():
        os.kill(os.getpid(), signal.SIGINT)
    time.sleep(END_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
