"""Each scene: who dies, how, and what must be true of the run whose part it was."""

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.death.life import RUN, SCENARIOS, Ended, Life, Spans

MIB = 1 << 20
Judge = Callable[[Ended], list[str]]
"""What was wrong with a run's end."""
SHELL = ("shell",)
# Who stands still is waited for so long.
SHORT_RUN = ("run", "--no-faults", "--timeout", "5", *SCENARIOS)
SAID_LETTERS = 8000
KEY_LETTERS = 32
"""Of a template's name."""
Scenery = Callable[[Path, Path], list[str]]
"""What was wrong with runs in a folder to work in, with templates that are there."""


def untouched(ended: Ended) -> list[str]:
    """All was done, and all was well."""
    wrong = [] if ended.status == 0 else [f"status {ended.status}, not 0"]
    if ended.verdicts() != dict.fromkeys(SCENARIOS, "clean"):
        wrong.append(f"verdicts {ended.verdicts()}")
    return wrong


def one_lost(*words: str) -> Judge:
    """One verdict incomplete with a reason that has one of these words, or all was done before."""

    def judge(ended: Ended) -> list[str]:
        if not untouched(ended):
            return []
        wrong = [] if ended.status == 4 else [f"status {ended.status}, neither 0 nor 4"]
        verdicts = sorted(ended.verdicts().values())
        if verdicts != ["clean", "clean", "incomplete"]:
            wrong.append(f"verdicts {ended.verdicts()}")
        return wrong + _said(ended, words)

    return judge


def stopped(status: int) -> Judge:
    """It ended by the signal that it was sent, or had done all before."""
    return lambda ended: [] if ended.status == status else untouched(ended)


def refused(*words: str, statuses: tuple[int, ...] = (3,)) -> Judge:
    """No run could be, and it says why; or all was done before."""

    def judge(ended: Ended) -> list[str]:
        if not untouched(ended):
            return []
        wrong = [] if ended.status in statuses else [f"status {ended.status} not in {statuses}"]
        return wrong + _said(ended, words)

    return judge


def _said(ended: Ended, words: tuple[str, ...]) -> list[str]:
    told = ended.reasons()
    return [] if any(one in told for one in words) else [f"none of {words} in {told[:400]!r}"]


@dataclass(frozen=True)
class Scene:
    """One way to die. `cold`: while a template is made."""

    name: str
    who: str
    number: signal.Signals
    judge: Judge
    cold: bool = False
    verb: tuple[str, ...] = RUN
    quick: bool = True

    @property
    def group(self) -> str:
        """Scenes whose lives are alike until somebody dies."""
        return "cold" if self.cold else self.verb[0]


KILLED = ("SIGKILL", "closed its QMP line", "QEMU closed it", "SSH:")
STILL = ("did not answer", "took more than")
SCENES = (
    Scene("QEMU of a clone killed", "qemu", signal.SIGKILL, one_lost(*KILLED)),
    Scene("QEMU of a clone stopped", "qemu", signal.SIGSTOP, one_lost(*STILL), verb=SHORT_RUN),
    Scene("keeper killed", "keeper", signal.SIGKILL, untouched),
    Scene("harness killed", "harness", signal.SIGKILL, stopped(-9)),
    Scene("harness ended", "harness", signal.SIGTERM, stopped(143)),
    Scene("harness interrupted", "harness", signal.SIGINT, stopped(130)),
    Scene("template: harness killed", "harness", signal.SIGKILL, stopped(-9), cold=True),
    Scene(
        "template: QEMU killed",
        "qemu",
        signal.SIGKILL,
        refused(*KILLED, statuses=(3, 4)),
        cold=True,
    ),
    Scene(
        "template: keeper killed",
        "keeper",
        signal.SIGKILL,
        untouched,
        cold=True,
        quick=False,
    ),
    Scene("shell killed", "harness", signal.SIGKILL, stopped(-9), verb=SHELL),
    Scene("shell hung up", "harness", signal.SIGHUP, stopped(129), verb=SHELL),
)


@dataclass(frozen=True)
class Play:
    """What came of one. `moment`: at which it happened, None when all was over before it."""

    moment: float | None
    wrong: tuple[str, ...]


@contextmanager
def life_of(scene: Scene, work: Path, templates: Path, name: str) -> Iterator[Life]:
    """Of a scene, in a place of its own where a template is to be made."""
    place = work / f"cold-{name}" if scene.cold else templates
    try:
        yield Life(work, place, scene.verb)
    finally:
        if scene.cold:
            shutil.rmtree(place, ignore_errors=True)


def prepare(work: Path, templates: Path) -> list[str]:
    """Make the templates of all lives where they find them; what was wrong.

    One that is made beside another life would be taken for a half that this left behind.
    """
    wrong = []
    for verb in dict.fromkeys(one.verb for one in SCENES if not one.cold):
        life = Life(work, templates, verb)
        life.watch()
        wrong += judged(life, _undisturbed(verb))
    return wrong


def _undisturbed(verb: tuple[str, ...]) -> Judge:
    return stopped(0) if verb == SHELL else untouched


def play(scene: Scene, work: Path, templates: Path, chance: random.Random, seconds: float) -> Play:
    """Do it once, at a random moment of so many seconds, in which it can happen."""
    with life_of(scene, work, templates, f"{chance.getrandbits(64):x}") as life:
        moment = life.strike(scene.who, scene.number, chance, seconds)
        return Play(moment, tuple(judged(life, scene.judge)))


def watch(scene: Scene, work: Path, templates: Path) -> tuple[Spans, list[str]]:
    """How long each is there in such a life as it is now, and what was wrong with that."""
    name = f"{random.getrandbits(64):x}"
    with life_of(scene, work, templates, name) as life:
        place = life.templates

        def made() -> bool:
            return place.is_dir() and any(len(one.name) == KEY_LETTERS for one in place.iterdir())

        # Whoever dies when there is a template dies in another scene.
        spans = life.watch(made) if scene.cold else life.watch()
        return spans, judged(life, _undisturbed(scene.verb))


def judged(life: Life, judge: Judge) -> list[str]:
    """A life to its end: what was wrong with that, and what is left of it."""
    try:
        ended = life.end()
        wrong = judge(ended)
        if "Traceback" in ended.said:
            wrong.append("a traceback")
        if wrong:
            wrong.append(f"it said {ended.said[-SAID_LETTERS:]!r}")
    except subprocess.TimeoutExpired as error:
        wrong = [f"it did not end within {error.timeout:g} s"]
    return wrong + [f"left behind: {one}" for one in life.left()]


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A tmpfs with these options. Needs root."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        # Others may still be on it for a moment.
        for _ in range(50):
            if subprocess.run(["umount", str(folder)], check=False).returncode == 0:
                break
            time.sleep(0.1)


def no_room_for_templates(work: Path, templates: Path) -> list[str]:
    """A place that is too small from the begin."""
    with mounted(work / "small", "size=64m,mode=700") as place:
        return judged(Life(work, place), refused("has room for 64 MiB only"))


def a_place_that_fills(work: Path, templates: Path) -> list[str]:
    """Somebody else takes the room while a template is made."""
    with mounted(work / "filling", "size=340m,mode=700") as place:
        life = Life(work, place)
        life.wait_for("qemu")
        with suppress(OSError), (place / "theirs").open("wb") as theirs:
            while theirs.write(b"x" * MIB):
                theirs.flush()
        wrong = judged(life, refused("filled up while the template was made"))
        (place / "theirs").unlink()
        return wrong


def a_place_that_is_read_only(work: Path, templates: Path) -> list[str]:
    """Nothing can be written where templates should lie."""
    with mounted(work / "read-only", "size=400m,mode=700,ro") as place:
        return judged(Life(work, place), refused("not writable for you"))


def no_guest(*words: str) -> Judge:
    """Not one scenario had a guest, each says why, and the run goes to its end."""

    def judge(ended: Ended) -> list[str]:
        wrong = [] if ended.status == 4 else [f"status {ended.status}, not 4"]
        if ended.verdicts() != dict.fromkeys(SCENARIOS, "incomplete"):
            wrong.append(f"verdicts {ended.verdicts()}")
        return wrong + _said(ended, words)

    return judge


def some_lost(*words: str) -> Judge:
    """What could not be read leaves its verdict incomplete, and says so; others are kept."""

    def judge(ended: Ended) -> list[str]:
        wrong = [] if ended.status == 4 else [f"status {ended.status}, not 4"]
        verdicts = ended.verdicts()
        if set(verdicts) != set(SCENARIOS) or set(verdicts.values()) - {"clean", "incomplete"}:
            wrong.append(f"verdicts {verdicts}")
        return wrong + _said(ended, words)

    return judge


def in_folders(options: str, judge: Judge) -> Scenery:
    """A run whose guests' folders lie in a tmpfs with these options."""

    def scene(work: Path, templates: Path) -> list[str]:
        # A socket's path has at most 107 bytes (unix(7)).
        folder = Path("/tmp") / f"death-{work.name}"
        try:
            with mounted(folder, options) as folders:
                return judged(Life(work, templates, folders=folders), judge)
        finally:
            folder.rmdir()

    return scene


def no_tmpdir(work: Path, templates: Path) -> list[str]:
    """$TMPDIR is of no use; nobody here depends on it."""
    return judged(Life(work, templates, environment={"TMPDIR": "/proc/none"}), untouched)


def two_at_once(work: Path, templates: Path) -> list[str]:
    """Two runs that need the same template."""
    place = work / "both"
    lives = [Life(work, place), Life(work, place)]
    wrong = [one for life in lives for one in judged(life, untouched)]
    made = [one for one in place.iterdir() if not one.name.startswith("probe-")]
    shutil.rmtree(place)
    return wrong + ([] if len(made) == 1 else [f"{len(made)} templates"])


def deleted_beneath(work: Path, templates: Path) -> list[str]:
    """Templates are deleted while clones of one run."""
    place = work / "deleted"
    wrong = judged(Life(work, place), untouched)
    life = Life(work, place)
    life.wait_for("qemu")
    shutil.rmtree(place)
    return wrong + judged(life, untouched)


PLACES: dict[str, Scenery] = {
    "templates' place too small": no_room_for_templates,
    "templates' place fills meanwhile": a_place_that_fills,
    "templates' place read-only": a_place_that_is_read_only,
    "guests' folders: no room for one": in_folders("nr_inodes=1,mode=700", no_guest("No space")),
    "guests' folders: no room for memory": in_folders(
        "size=256k,mode=700", some_lost("no room for")
    ),
    "guests' folders read-only": in_folders("ro,mode=700", no_guest("Read-only file system")),
    "TMPDIR of no use": no_tmpdir,
    "two runs make one template": two_at_once,
    "template deleted beneath a run": deleted_beneath,
}
