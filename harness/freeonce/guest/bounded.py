"""Commands in a guest that may never end: a module's init function, somebody's exercise.

SSH's own deadline would cost us the connection. So the command runs beside the shell that
waits for it, and that shell waits no longer than it may.
"""

import math
import shlex
from dataclasses import dataclass

from freeonce.deadline import patience
from freeonce.errors import CommandFailed
from freeonce.evidence.text import printable
from freeonce.guest.guest import COMMAND_SECONDS, Guest

OUTPUT_BYTES = 1 << 20
"""What is fetched of a command's output: its end."""

# Opened for both, the pipe makes nobody wait until the other has opened it. A shell of its
# own session: all that it started can be ended with it.
SCRIPT = """
d=$(mktemp -d) && mkfifo $d/status && cd {folder} || exit 1
setsid sh -c 'sh -c "$1"; echo $? >$2/status' sh {command} $d >$d/output 2>&1 </dev/null &
pid=$!
read -t {seconds} status <>$d/status || {{ status=none; kill -KILL -$pid; }}
echo $status
tail -c {most} $d/output
rm -rf $d
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended. `status`: None when it did not; `output`: what it printed."""

    status: int | None
    output: str

    @property
    def how(self) -> str:
        """In words."""
        return "does not end" if self.status is None else f"ended with status {self.status}"


def run_bounded(guest: Guest, command: str, seconds: float, folder: str = "/") -> Ended:
    """Run a shell command for at most `seconds`, more on a machine that needs patience.

    What has not ended by then is killed, if the kernel lets it be. Raises GuestLost, and
    CommandFailed when the guest's shell does not even begin.
    """
    script = SCRIPT.format(
        folder=shlex.quote(folder),
        command=shlex.quote(command),
        seconds=math.ceil(seconds * patience()),
        most=OUTPUT_BYTES,
    )
    try:
        said = guest.command(script, seconds + COMMAND_SECONDS)
    except CommandFailed as error:
        # Its own words show all of our script.
        why = str(error).rpartition("ended ")[2]
        raise CommandFailed(f"{command[:80]!r} cannot be started in the guest: {why}") from error
    status, _, output = said.partition(b"\n")
    if status == b"none":
        return Ended(None, printable(output))
    if not status.isdigit() or len(status) > 3:
        raise CommandFailed(f"the guest's shell answers {printable(status[:80])!r}")
    return Ended(int(status), printable(output))
