"""A folder for one guest's sockets and files, gone when we are gone, however we went."""

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Waits until the last writer of its standard input is gone: we let go, or died. It
# then ends a QEMU of this folder that outlived us, and removes the folder. The pipe
# closes on exec, so a QEMU just being started is seen with its own command line.
KEEPER = """
cat >/dev/null
for process in /proc/[0-9]*; do
    tr '\\0' '\\n' <"$process/cmdline" 2>/dev/null | {
        read -r program
        case ${program##*/} in *qemu*) ;; *) exit ;; esac
        grep -q -F "path=$0/" && kill -KILL "${process##*/}"
    }
done 2>/dev/null
rm -rf -- "$0"
"""


@contextmanager
def guest_folder() -> Iterator[Path]:
    """A new folder. Only its keeper, a process of its own, ever removes it.

    The keeper is in a session of its own: Ctrl-C in our terminal does not reach it.
    """
    # Not $TMPDIR: the path of a socket has at most 107 bytes (unix(7)).
    folder = Path("/tmp") / f"freeonce-{secrets.token_hex(8)}"
    # The keeper first: there is no moment at which the folder has none.
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", KEEPER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait()
