"""Programs that read a subject, which may be hostile: their time, memory and output are bounded."""

import resource
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress

from freeonce.deadline import patience
from freeonce.errors import HostError

SECONDS = 60.0
MEMORY = 2 << 30
OUTPUT = 256 << 20


class ToolFailed(Exception):
    """The program said no, or went beyond a bound. The message: its own words."""


class TooMuch(ToolFailed):
    """It printed more than it may."""


def run_tool(
    argv: Sequence[str], data: bytes = b"", *, package: str, output: int = OUTPUT
) -> bytes:
    """What the program makes of `data`, at most `output` bytes.

    Raises ToolFailed, and HostError `no-tool` when the program is not installed: it is
    in Debian's `package`.
    """
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as words:
        try:
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=said, stderr=words)
        except FileNotFoundError as error:
            message = f"{argv[0]} is not installed; it is in the package {package}"
            raise HostError("no-tool", message) from error
        with process:
            _bound(process.pid, output)
            try:
                process.communicate(data, timeout=SECONDS * patience())
            except subprocess.TimeoutExpired as error:
                process.kill()
                raise ToolFailed(f"{argv[0]} took more than {SECONDS:g} s") from error
        if process.returncode == -signal.SIGXFSZ:
            raise TooMuch(f"{argv[0]} printed more than {output} bytes")
        if process.returncode < 0:
            raise ToolFailed(f"{argv[0]} was ended by signal {-process.returncode}")
        if process.returncode:
            words.seek(0)
            said_so = words.read(500).decode("utf-8", "replace").strip()
            raise ToolFailed(f"{argv[0]}: {said_so or f'status {process.returncode}'}")
        said.seek(0)
        return said.read()


def _bound(pid: int, output: int) -> None:
    # It may be over already.
    with suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (output, output))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
