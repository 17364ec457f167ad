"""What was found out about this host, remembered until it boots again."""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from freeonce.machine.place import distrusted, places

BOOT = Path("/proc/sys/kernel/random/boot_id")
PARAMETERS = ("kvm_amd/parameters/nested", "kvm_intel/parameters/nested")
MODULES = Path("/sys/module")
ANEW = "as found earlier since this host booted; 'freeonce doctor --anew' looks again"


def remembered(key: tuple[str, ...], look: Callable[[], str | None], anew: bool) -> str | None:
    """Why something does not work, None if it does, as `look` says or said.

    `anew`: an obstacle that is remembered is looked for again. Where nothing can be kept, it is
    looked for each time.
    """
    file = _file(key)
    known, obstacle = _read(file)
    if known and (obstacle is None or not anew):
        return obstacle if obstacle is None else f"{obstacle} ({ANEW})"
    obstacle = look()
    _write(file, obstacle)
    return obstacle


def _file(key: tuple[str, ...]) -> Path | None:
    """Beside the templates, which go with a boot as well."""
    whole = json.dumps([*key, *_of_this_boot()])
    name = f"probe-{hashlib.sha256(whole.encode()).hexdigest()[:32]}"
    for place in places():
        with suppress(OSError):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if distrusted(place) is None:
            return place / name
    return None


def _of_this_boot() -> list[str]:
    """What a host's answer depends on besides: its boot, and how KVM was loaded."""
    said = []
    for file in (BOOT, *(MODULES / one for one in PARAMETERS)):
        try:
            said.append(file.read_text())
        except OSError:
            said.append("")
    return said


def _read(file: Path | None) -> tuple[bool, str | None]:
    """Whether there is an answer, and the answer."""
    if file is None:
        return False, None
    try:
        told = json.loads(file.read_text())
        obstacle = told["obstacle"]
    except (OSError, ValueError, KeyError, TypeError):
        return False, None
    return isinstance(obstacle, str | None), obstacle


def _write(file: Path | None, obstacle: str | None) -> None:
    """Whole or not at all: another run may be reading it."""
    if file is None:
        return
    part = file.with_name(f"{file.name}.{os.getpid()}")
    with suppress(OSError):
        try:
            part.write_text(json.dumps({"obstacle": obstacle}))
            part.rename(file)
        finally:
            part.unlink(missing_ok=True)
