"""Where an outer machine stands that says nothing: asked of its QEMU, and of itself.

What it answers is only told, never judged: it is for who looks for the hang.
"""

import socket
from contextlib import suppress
from pathlib import Path

from freeonce.deadline import Deadline
from freeonce.errors import DeadlineExceeded, GuestLost
from freeonce.evidence.text import printable
from freeonce.machine.monitor import Monitor
from freeonce.survey.lane.argv import LOOK

ANSWER_SECONDS = 60.0
MOST_BYTES = 256 << 10
END = b"freeonce: looked\n"
"""What guest/outer/look says last."""
ASKED_OF_QEMU = ("info registers", "info lapic")
"""HMP commands; they do not stop the guest."""


def where_it_stands(folder: Path, monitor: Monitor) -> str:
    """Lines without control characters; of a part that does not answer, why not."""
    parts = []
    for command in ASKED_OF_QEMU:
        try:
            said = monitor.execute("human-monitor-command", {"command-line": command})
        except GuestLost as lost:
            said = lost
        parts.append(f"== {command}\n{printable(str(said).encode())}")
    parts.append(_itself(folder / LOOK))
    return "\n".join(parts)


def _itself(path: Path) -> str:
    heard = b""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(ANSWER_SECONDS)
            line.connect(str(path))
            line.sendall(b"\n")
            deadline = Deadline(ANSWER_SECONDS, "its own look")
            with suppress(DeadlineExceeded, TimeoutError):
                while END not in heard and len(heard) < MOST_BYTES:
                    line.settimeout(deadline.left())
                    data = line.recv(4096)
                    if not data:
                        break
                    heard += data
    except OSError as error:
        return f"== its own look: {error}"
    if END not in heard:
        heard += b"== its own look did not answer to the end\n"
    return printable(heard.replace(b"\r", b""))
