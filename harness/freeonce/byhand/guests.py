"""Guests that somebody works with by hand: how each is announced, found and chosen.

The guest's folder says it all, and goes with the guest: no list of guests can be stale.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from freeonce.errors import UsageError
from freeonce.guest import Guest, clone
from freeonce.machine.folder import SCRATCH, SOCKETS
from freeonce.machine.sharing import SOCKET, shared
from freeonce.machine.template import Template
from freeonce.project.image import Image
from freeonce.project.setting import Setting
from freeonce.run.task import Boot

ABOUT = "guest.json"
KNOWN_HOSTS = "known_hosts"


@dataclass(frozen=True)
class ByHand:
    """A running guest. `name`: its owner's verb and process, as `shell-4711`.

    `port`: of its SSH, on loopback. `client_key`: the key file to log in with.
    """

    name: str
    folder: str
    port: int
    client_key: str

    @property
    def console(self) -> Path:
        """The socket of its console, for others than its owner."""
        return Path(self.folder) / SOCKET

    def ssh(self, *options: str) -> list[str]:
        """The command that logs in to it; OpenSSH's `options` are as ssh_config(5) has them."""
        known = Path(self.folder) / KNOWN_HOSTS
        options += (f"UserKnownHostsFile={known}", "StrictHostKeyChecking=yes")
        options += ("IdentitiesOnly=yes",)
        words = [word for option in options for word in ("-o", option)]
        target = ["-i", self.client_key, "-p", str(self.port), "root@127.0.0.1"]
        return ["ssh", "-F", "none", *words, *target]


def by_hand(setting: Setting, source: Template, verb: str) -> Boot:
    """Makes clones that others find: `verb` works with them."""
    return announced(lambda: clone(source, setting.image), setting.image, verb)


def announced(make: Boot, image: Image, verb: str) -> Boot:
    """Makes the same guests, which others find and whose console is shared."""

    @contextmanager
    def made() -> Iterator[Guest]:
        with make() as guest, shared(guest.console, guest.monitor.folder):
            _announce(guest, image, verb)
            yield guest

    return made


def _announce(guest: Guest, image: Image, verb: str) -> None:
    folder, port = guest.monitor.folder, guest.monitor.forwarded_port()
    (folder / KNOWN_HOSTS).write_text(f"[127.0.0.1]:{port} {image.host_key.read_text()}")
    about = ByHand(f"{verb}-{os.getpid()}", str(folder), port, str(image.client_key))
    # Last, and at once: who finds it finds all of it.
    scratch = folder / f"{ABOUT}.new"
    scratch.write_text(json.dumps(asdict(about)))
    scratch.rename(folder / ABOUT)


def of(guest: Guest) -> ByHand:
    """What was announced of this guest."""
    return _read(guest.monitor.folder)


def _read(folder: Path) -> ByHand:
    return ByHand(**json.loads((folder / ABOUT).read_text()))


def running(place: Path = SOCKETS) -> list[ByHand]:
    """Ours, by name."""
    found = []
    for folder in place.glob(f"{SCRATCH}*"):
        # It may just be going; and what others put here is not ours to believe.
        with suppress(OSError, ValueError, TypeError):
            if folder.lstat().st_uid == os.getuid() and not folder.is_symlink():
                found.append(_read(folder))
    return sorted(found, key=lambda one: one.name)


def choose(name: str, place: Path = SOCKETS) -> ByHand:
    """The one of that name, or the only one whose name begins so.

    Raises UsageError, with all names, when there is none or several.
    """
    there = running(place)
    if not there:
        raise UsageError("no guest is in use; `freeonce shell` in another terminal starts one")
    found = [one for one in there if one.name == name] or [
        one for one in there if one.name.startswith(name)
    ]
    if len(found) == 1:
        return found[0]
    what = f"no guest is called {name!r}" if not found else "several guests run; say which"
    raise UsageError("\n  ".join([f"{what}:", *(one.name for one in found or there)]))
