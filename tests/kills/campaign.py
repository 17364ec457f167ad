"""One campaign: a client and its workers, or a scheduler, workers under their nannies, a client.
Whoever dies is begun anew.
"""

import json
import os
import random
import secrets
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from freeonce.campaign.store import reading
from freeonce.campaign.trust import TRIES
from freeonce.errors import UsageError
from tests.death.life import MARK
from tests.guest.campaigning import FREEONCE, SCHEDULER, folders_of, marked, results, words_of

VICTIMS = ("worker", "nanny", "guest", "client", "scheduler")
HERE = ("worker", "guest", "client")
"""Those that there are without a scheduler."""
POLL_SECONDS = 0.1
# It takes a while, so that builds are among what is killed with their workers.
KBUILD = "obj-m := none.o\nwaited := $(shell sleep 0.2)\n$(error on purpose)\n"
LEFT_SECONDS = 30.0
STATE = "kills.json"
GOOD = (0, 4)
"""What a client may end with when all is kept: 4 when a guest was killed too often."""
LOST = (3,)
"""And with this when its scheduler is gone."""


@dataclass
class Killed:
    """What came of it.

    `guests`: tasks that have one, each a run of a scenario; the others are audits of a folder that
    does not build, which end before a guest is begun. `kills`: by victim; `begun`: how often each
    program was; `endings`: of clients, by status. `over`: whether the campaign came to its end.
    `local`: without a scheduler.
    """

    tasks: int
    guests: int
    wanted: int
    kills: Counter[str] = field(default_factory=Counter)
    begun: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    parts: int = 0
    over: bool = False
    results: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    local: bool = False


def led(folder: Path, asked: Killed, seconds: float, chance: random.Random) -> Killed:
    """Lead it, for so many seconds at most, and look what is left."""
    found = before(folder, asked)
    start = time.monotonic()
    mark = secrets.token_hex(8)
    folders: set[Path] = set()
    with _Cast(folder, mark, found) as cast:
        _lead(cast, found, start + seconds, chance, folders)
    _look(folder, found, mark, folders)
    if _is_taken(cast.port):
        found.wrong.append(f"left: somebody listens at port {cast.port}")
    found.seconds += time.monotonic() - start
    found.parts += 1
    keep(folder, found)
    return found


def keep(folder: Path, found: Killed) -> None:
    """For the next part."""
    # Not asdict(): of a Counter it makes one of pairs.
    (folder / STATE).write_text(json.dumps(vars(found)))


def before(folder: Path, asked: Killed) -> Killed:
    """What came of the parts before."""
    if not (folder / STATE).exists():
        return asked
    found = Killed(**json.loads((folder / STATE).read_text()))
    for name in ("kills", "begun", "endings", "verdicts"):
        setattr(found, name, Counter(getattr(found, name)))
    if any(getattr(found, one) != getattr(asked, one) for one in _ASKED):
        raise SystemExit(f"kills: {folder} is of another campaign")
    return found


_ASKED = ("tasks", "guests", "wanted", "local")


class _Cast:
    """The programs, each begun again when it has ended."""

    def __init__(self, folder: Path, mark: str, found: Killed) -> None:
        self.store = folder / "plan.results"
        self.mark = mark
        self._folder = folder
        self._found = found
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        plan = folder / "plan.toml"
        (folder / "none").mkdir(exist_ok=True)
        (folder / "none/Kbuild").write_text(KBUILD)
        plan.write_text(
            f'[[scenarios]]\nnames = ["c/pool"]\nrepeat = {found.guests}\n'
            f"[[audits]]\ntargets = ['{folder}/none']\nrepeat = {found.tasks - found.guests}\n"
        )
        self.port = _free_port()
        address = f"tcp://127.0.0.1:{self.port}"
        lead = (*FREEONCE, "campaign", str(plan))
        self._words: dict[str, tuple[str, ...]] = {}
        if found.local:
            self._words = {"client": (*lead, "--local", "2", "--accel", "tcg")}
            return
        self._words |= {
            "scheduler": (*SCHEDULER, "--host", address, "--dashboard-address", "127.0.0.1:0"),
            "nanny": (*FREEONCE, "worker", address, "--slots", "2", "--accel", "tcg"),
            "client": (*lead, "--scheduler", address),
        }

    def __enter__(self) -> "_Cast":
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running.values()):
            process.terminate()
        for process in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(LEFT_SECONDS)
            process.kill()
            process.wait()

    def keep(self) -> int | None:
        """Begin whoever is not there. What the client ended with, if it did."""
        ended = None
        for name, words in self._words.items():
            process = self._running.get(name)
            if process is not None and process.poll() is None:
                continue
            if process is not None and name == "client":
                ended = process.returncode
                self._found.endings[str(ended)] += 1
                if ended in GOOD:
                    return ended
            self._begin(name, words)
        return ended

    def _begin(self, name: str, words: tuple[str, ...]) -> None:
        self._found.begun[name] += 1
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                words,
                env={**os.environ, MARK: self.mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def victims(self, kind: str) -> list[int]:
        """Those of a kind that there are now."""
        if kind in self._running:
            process = self._running[kind]
            return [process.pid] if process.poll() is None else []
        every = {process: words_of(process) for process in marked(self.mark)}
        return [process for process, words in every.items() if _KINDS[kind](words)]


_KINDS: dict[str, Callable[[list[str]], bool]] = {
    "guest": lambda words: "qemu" in Path(words[0] if words else "").name,
    # A process that Dask's nanny begins, or one of the client's own.
    "worker": lambda words: any(
        "spawn_main" in word or word == "freeonce.campaign.local_worker" for word in words
    ),
}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as line:
        return int(line.getsockname()[1])


def _is_taken(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return True
    return False


def _lead(
    cast: _Cast, found: Killed, until: float, chance: random.Random, folders: set[Path]
) -> None:
    """Kill somebody whenever as many results more are there as are due."""
    while time.monotonic() < until:
        ended = cast.keep()
        if ended in GOOD:
            found.over = True
            return
        if ended is not None and ended not in (*LOST, -signal.SIGKILL):
            found.wrong.append(f"a client ended with {ended}")
        time.sleep(POLL_SECONDS)
        folders |= folders_of(cast.mark)
        done = found.kills.total()
        if done < found.wanted and _count(cast.store) >= due(found):
            time.sleep(chance.uniform(0, 1))
            _kill(cast, found, chance)


def due(found: Killed) -> float:
    """How many results there are at the next kill: half of the kills are among the guests."""
    done, half = found.kills.total(), found.wanted / 2
    if done < half:
        return found.guests * done / half
    return found.guests + (found.tasks - found.guests) * (done - half) / (half + 1)


def _kill(cast: _Cast, found: Killed, chance: random.Random) -> None:
    kinds = list(HERE if found.local else VICTIMS)
    chance.shuffle(kinds)
    for kind in kinds:
        if there := cast.victims(kind):
            with suppress(ProcessLookupError):
                os.kill(chance.choice(there), signal.SIGKILL)
                found.kills[kind] += 1
                return


def _count(store: Path) -> int:
    try:
        with reading(store) as opened:
            return len(opened.keys())
    except UsageError:
        # It is not there yet.
        return 0


def _look(folder: Path, found: Killed, mark: str, folders: set[Path]) -> None:
    """What is there, and what was left."""
    end = time.monotonic() + LEFT_SECONDS
    while (left := list(_left(mark, folders))) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
    found.wrong += left
    kept = results(folder / "plan.results")
    found.results = len(kept)
    found.verdicts = Counter(f"{one.kind}: {one.verdict}" for one in kept)
    found.wrong += strange(found)
    if found.over and not folders:
        found.wrong.append("no folder was seen: whether one is left is not known")


def strange(found: Killed) -> Iterator[str]:
    """What is wrong with the results that there are."""
    if found.over and found.results != found.tasks:
        yield f"there are {found.results} results of {found.tasks} tasks"
    verdicts = found.verdicts.copy()
    # What does not build is never judged.
    audits = verdicts.pop("audit: incomplete", 0)
    clean, lost = verdicts.pop("scenario: clean", 0), verdicts.pop("scenario: incomplete", 0)
    yield from (f"{count} results are {verdict}" for verdict, count in verdicts.items())
    if clean + lost > found.guests or audits > found.tasks - found.guests:
        yield "a result is there twice"
    # Nobody gives up what was tried less often.
    if lost > found.kills.total() // TRIES:
        yield f"{lost} scenarios are incomplete, of {found.kills.total()} kills"


def _left(mark: str, folders: set[Path]) -> Iterator[str]:
    for process in marked(mark):
        yield f"left: {' '.join(words_of(process))[:120]}"
    yield from (f"left: {one}" for one in folders if one.exists())


def page(parts: list[tuple[Killed, str]]) -> str:
    """Both ways. Of each: what came of it, and how it was led."""
    head = """# Kills

Campaigns whose parts get SIGKILL at random moments and are begun again, as an administrator would:
the client by the same command. `make kills` runs them and writes this page;
`tests/guest/test_kills.py` small ones.
"""
    return "\n".join([head, *(table(*one) for one in parts)]).rstrip() + "\n"


def table(found: Killed, about: str) -> str:
    """One way."""
    victims = HERE if found.local else VICTIMS
    lines = [
        "## On this machine" if found.local else "## On a scheduler of Dask with two workers",
        "",
        about,
        "",
        "| killed | times |",
        "|---|---|",
        *(f"| {kind} | {found.kills[kind]} |" for kind in victims),
        f"| all | {found.kills.total()} of {found.wanted} |",
        "",
        "| | |",
        "|---|---|",
        f"| tasks | {found.tasks} |",
        f"| of these with a guest (the others build a folder, which fails) | {found.guests} |",
        f"| run in parts, by the same commands | {found.parts} |",
        f"| results, each of another task | {found.results} |",
        *(f"| {verdict} | {count} |" for verdict, count in sorted(found.verdicts.items())),
        *(f"| begun: {name} | {count} times |" for name, count in sorted(found.begun.items())),
        *(f"| clients that ended with {one} | {n} |" for one, n in sorted(found.endings.items())),
        f"| wrong, or left behind | {len(found.wrong)} |",
        "",
        *(f"- {one}" for one in found.wrong),
    ]
    return "\n".join(lines).rstrip() + "\n"
