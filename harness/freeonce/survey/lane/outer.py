"""The outer machine's life: started, watched, and asked what its command came to."""

import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from freeonce.deadline import Deadline, patience
from freeonce.errors import EvidenceError, GuestLost, OuterLost
from freeonce.machine.folder import kept_folder
from freeonce.machine.start import started
from freeonce.survey.lane.argv import OuterConfig, outer_argv, script
from freeonce.survey.lane.standing import where_it_stands

MAX_STATUS = 64
BOOTS = 3
"""How often the outer machine is booted until its kernel judges its clock right."""
MISJUDGED = b"clock\n"
"""What its init tells as status where the kernel says that it does not."""
SILENT_SECONDS = 90.0
"""A run at work says each 10 s how far it is, once it has begun."""
MAX_LEFT = 64 << 20
"""Bytes that we read of a file that the outer machine left."""


@dataclass(frozen=True)
class Left:
    """What a command in the outer machine left: its exit status, and the file asked for."""

    status: int
    file: bytes | None
    console: str


def exit_status_of(told: bytes | None) -> int:
    """The exit status in the file `status`. Raises EvidenceError: no status is no success."""
    if told is None:
        raise EvidenceError("the outer machine ended without reporting a status")
    match = re.fullmatch(rb"exit (\d{1,3})\n", told)
    if match is None:
        raise EvidenceError(f"the outer machine told no exit status but {told!r}")
    return int(match[1])


def read_left(file: Path, most: int) -> bytes | None:
    """A plain file that the outer machine left; None when it did not.

    Raises EvidenceError for anything else that has this name, or more than `most` bytes.
    """
    try:
        # No link of theirs leads us anywhere, and no pipe holds us.
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EvidenceError(f"the outer machine left no plain {file.name}: {error}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise EvidenceError(f"the outer machine left no plain file as {file.name}")
    with os.fdopen(handle, "rb") as opened:
        data = opened.read(most + 1)
    if len(data) > most:
        raise EvidenceError(f"the outer machine left more than {most} bytes as {file.name}")
    return data


class _Looker:
    """Tells where the machine stands when it has been silent for long; once a silence."""

    def __init__(self, look: Callable[[], str], told: Callable[[str], None]) -> None:
        self._look = look
        self._told = told
        self._looked = False

    def heard(self) -> None:
        """It said something."""
        self._looked = False

    def silent(self, seconds: float) -> None:
        """It has said nothing for so long."""
        if self._looked or seconds < SILENT_SECONDS * patience():
            return
        self._looked = True
        self._told(f"the outer machine has said nothing for {seconds:.0f} s; where it stands:")
        for line in self._look().splitlines():
            self._told(line)


def run_in_outer(
    config: OuterConfig,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    file: str,
    seconds: float,
    told: Callable[[str], None] = lambda _: None,
) -> Left:
    """Run a command in an outer machine of its own; nothing of it is left afterwards.

    `file`: what to bring out of the scratch folder. `told`: each line of its console.
    Raises HostError when QEMU does not start, OuterLost when the machine is lost or left
    no status.
    """
    for _ in range(BOOTS):
        left = _boot_and_run(config, command, environment, file=file, seconds=seconds, told=told)
        if left is not None:
            return left
        told("the outer machine's kernel misjudged its clock, as it may on a busy host")
    raise OuterLost(f"the outer machine's kernel misjudged its clock {BOOTS} times in a row")


def _boot_and_run(
    config: OuterConfig,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    file: str,
    seconds: float,
    told: Callable[[str], None],
) -> Left | None:
    """None where the kernel misjudged its clock."""
    deadline = Deadline(seconds, "the outer machine")
    with kept_folder() as folder:
        scratch = folder / "scratch"
        scratch.mkdir()
        (scratch / "command").write_text(script(command, environment))
        with started(outer_argv(config, folder), folder, deadline) as machine:
            machine.monitor.execute("cont")
            looker = _Looker(partial(where_it_stands, folder, machine.monitor), told)
            try:
                for said in machine.console.lines(deadline, looker.silent):
                    told(said)
                    looker.heard()
                machine.process.finish(deadline)
                ended = read_left(scratch / "status", MAX_STATUS)
                if ended == MISJUDGED:
                    return None
                status = exit_status_of(ended)
                left = read_left(scratch / file, MAX_LEFT)
            except GuestLost as lost:
                raise OuterLost(str(lost), machine.console.tail(), lost.loss) from lost
            except EvidenceError as error:
                raise OuterLost(str(error), machine.console.tail()) from error
            return Left(status, left, machine.console.tail(lines=20))
