"""What tests of whole lives share: what is made once, a life, and what it must come to."""

import fcntl
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from freeonce.audit.life import Life
from freeonce.audit.model import Verdict
from freeonce.machine.template import Template
from freeonce.project.setting import Setting
from freeonce.report.expected import Known, compare
from freeonce.report.found import Found, found
from freeonce.run.audit import audit
from freeonce.run.prepare import Wish, prepare
from freeonce.subject.build import Headers
from freeonce.subject.traces import traces

TESTS = Path(__file__).resolve().parents[1]


def made_once(folder: Path, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills, by whichever worker of this session comes first."""
    place = folder / name
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            scratch = Path(mkdtemp(dir=folder))
            make(scratch)
            scratch.rename(place)
    return place


def headers_of(setting: Setting) -> Headers:
    """What modules for the guest are built against."""
    return Headers(setting.image.headers, setting.image.headers_source)


def compiled(programs: Path, into: Path) -> None:
    """Each C file of a folder as a static program: the guest has no libraries of its own."""
    for source in sorted(programs.glob("*.c")):
        flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static"]
        subprocess.run(["gcc", *flags, "-o", into / source.stem, source, "-lpthread"], check=True)


Place = tuple[Setting, Template]
"""Where lives are led."""


@dataclass(frozen=True)
class Lived:
    """A life and its findings, those of one place together."""

    life: Life
    found: tuple[Found, ...]

    @property
    def told(self) -> str:
        """For the message of a failure."""
        said = [f"{self.life.result.judgement.verdict}, stopped at {self.life.stage}"]
        said += [f"{one.obstacle}: {one.message}" for one in self.life.reasons]
        said += [f"reason: {one}" for one in self.life.result.judgement.reasons]
        said += [
            f"{one.count} x {one.finding.rule} ({one.finding.kind}) in "
            f"{one.place.frame.function if one.place else 'no function of the module'}"
            for one in self.found
        ]
        return "\n".join(said)


def lead(setting: Setting, source: Template, wish: Wish) -> Lived:
    """One life in a clone."""
    with TemporaryDirectory() as scratch:
        prepared = prepare(wish, setting.image, Path(scratch))
        life = audit(setting, source, prepared)
        records = life.result.evidence.records
        frames = traces(records, prepared.sources)
    return Lived(life, found(life.result.judgement.findings, frames))


def expected(finds: Sequence[Mapping[str, Any]]) -> tuple[Known, ...]:
    """Findings as expected.toml has them: one allocation a place, if it does not say more."""
    return tuple(Known(**{"count": 1, **one}) for one in finds)


def check(lived: Lived, finds: Sequence[Mapping[str, Any]]) -> None:
    """These findings and no other."""
    met, missing = compare(lived.found, expected(finds))
    beyond = [one for one in lived.found if one not in met]
    assert not missing, f"not found: {', '.join(map(str, missing))}\n{lived.told}"
    assert not beyond, f"found beyond what is there\n{lived.told}"


def check_whole(lived: Lived, finds: Sequence[Mapping[str, Any]]) -> None:
    """The same, of a life that came to its end, and a verdict that says so."""
    check(lived, finds)
    assert not lived.life.reasons, lived.told
    verdict = Verdict.FAULTY if finds else Verdict.CLEAN
    assert lived.life.result.judgement.verdict is verdict, lived.told


def shared(base: Path, worker: str) -> Path:
    """A folder of this session that all its workers have."""
    return base if worker == "master" else base.parent
