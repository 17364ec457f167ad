"""A folder of ours with a keeper: gone when we are gone, however we went."""

import os
import re
import secrets
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from freeonce.deadline import Deadline
from freeonce.errors import HostError

# Not $TMPDIR: the path of a socket has at most 107 bytes (unix(7)).
SOCKETS = Path("/tmp")
SCRATCH = "freeonce-"

# Says that it is there, then waits until we say that all is over, or the last writer of its
# standard input is gone: then we died. In that case it ends what outlived us: a QEMU of this
# folder, whatever the program is called, as it was told to serve a socket there; and what has
# temporary files there, as builds and all that these begin do. The pipe closes on exec, so a QEMU
# just being started is seen with its own command line. What is begun while it looks is seen when
# it looks again; what SIGKILL does not end is not waited for. A host has thousands of processes:
# none is begun for each. [p] keeps the patterns, which are arguments too, from being what they
# look for. $1: what $0 is to grep.
# A shell ends where it can begin no process (fork(2), EAGAIN). It is `alone` then, and begins
# none: it reads byte by byte, which is slow, and becomes the program that removes.
KEEPER = """
export LC_ALL=C
with() {
    printf '%s\\n' /proc/[0-9]*/"$1" | xargs grep -lsz -e "$2"
}
alone() {
    trap - EXIT
    for file in /proc/[0-9]*/cmdline /proc/[0-9]*/environ; do
        process=${file#/proc/}
        while read -r line || [ "$line" ]; do
            case $line in
            *path="$0"/*,server=on* | *TMPDIR="$0"/*) kill -KILL "${process%/*}" ;;
            esac
        done <"$file"
    done 2>/dev/null
    exec rm -rf -- "$0"
}
trap alone EXIT
echo kept
exec >/dev/null
read -r over || for look in 0 1 2 3 4 5 6 7 8 9; do
    found=$({ with environ "^TMPDIR=$1/"; with cmdline "[p]ath=$1/.*,server=on"; } | cut -d/ -f3)
    [ "$found" ] || break
    kill -KILL $found
    sleep 0.1
done 2>/dev/null
trap - EXIT
exec rm -rf -- "$0"
"""
KEPT = b"kept\n"
SPECIAL = re.compile(r"[][.*^$\\]")
"""What grep does not take as it is. A newline would begin another pattern."""

KEEPER_SECONDS = 10.0
"""It removes a file or two, on a machine that may be busy."""

ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


@contextmanager
def kept_folder(parent: Path = SOCKETS) -> Iterator[Path]:
    """A new folder. Its keeper, a process of its own, removes it; we do when that was killed.

    The keeper is in a session of its own: Ctrl-C in our terminal does not reach it.
    Raises HostError `no-scratch` when it cannot be made.
    """
    folder = parent / f"{SCRATCH}{secrets.token_hex(8)}"
    # The keeper first, and it must have begun: there is no moment at which the folder has none.
    keeper = _keeper(folder)
    said = b""
    try:
        _hear(keeper)
        _make(folder)
        yield folder
        # What left the block otherwise may have left a QEMU, too.
        said = b"over\n"
    finally:
        _dismiss(keeper, said)
        # It does nothing that fails while it lives.
        shutil.rmtree(folder, ignore_errors=True)


def _hear(keeper: "subprocess.Popen[bytes]") -> None:
    """Wait until it says that it is there: a program that was begun may still not come to that."""
    said = keeper.stdout
    assert said is not None
    waiting = select.poll()
    waiting.register(said, select.POLLIN)
    deadline = Deadline(KEEPER_SECONDS, "waiting for a keeper")
    if not waiting.poll(1000 * deadline.left()):
        message = f"a folder has no keeper: /bin/sh did not begin within {deadline.seconds:g} s"
        raise HostError("no-process", message)
    # It says that in one piece, or ends.
    if os.read(said.fileno(), len(KEPT)) != KEPT:
        raise HostError("no-process", "a folder has no keeper: /bin/sh ended at once")
    said.close()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        message = f"cannot make a folder in {folder.parent}: {error.strerror}"
        raise HostError("no-scratch", message) from error


def _dismiss(keeper: "subprocess.Popen[bytes]", said: bytes) -> None:
    """Let the keeper clean up. One that stands still is not waited for."""
    try:
        keeper.communicate(said, Deadline(KEEPER_SECONDS, "removing a folder").left())
    except subprocess.TimeoutExpired:
        keeper.kill()
        keeper.communicate()


def _keeper(folder: Path) -> "subprocess.Popen[bytes]":
    """Nothing but SIGKILL ends it.

    A signal for our process group, as Ctrl-C sends, would also end a keeper that has no session of
    its own yet, and Popen would not tell.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    pattern = SPECIAL.sub(r"\\\g<0>", str(folder)).replace("\n", ".")
    try:
        return subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, str(folder), pattern],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise HostError("no-process", f"cannot start a program: {error.strerror}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
