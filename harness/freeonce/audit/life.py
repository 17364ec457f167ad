"""What a life of foreign modules came to: how far it got, what stopped it, and its result. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from freeonce.audit.result import Result
from freeonce.errors import Obstacle


class Stage(StrEnum):
    """Where a life is, in order. Stable: other programs depend on it."""

    READ = "read"
    BOOT = "boot"
    PREPARE = "prepare"
    LOAD = "load"
    EXERCISE = "exercise"
    UNLOAD = "unload"
    QUIESCE = "quiesce"
    JUDGE = "judge"


@dataclass(frozen=True)
class Bounds:
    """Where the stages of a life end, by the sequence of the last record before.

    `loaded`: the last load, None when one failed; `unloading`: what comes before the unload, None
    when there was none. (The ledger alone does not tell: of several modules one may be live while
    the next one's init function fails; a module goes when its exit function is over.)
    """

    loaded: int | None = None
    unloading: int | None = None

    def stage(self, sequence: int) -> Stage:
        """That a record is of."""
        if self.unloading is not None and sequence > self.unloading:
            return Stage.UNLOAD
        if self.loaded is None or sequence <= self.loaded:
            return Stage.LOAD
        return Stage.EXERCISE


NEVER_LOADED = Bounds()


@dataclass(frozen=True)
class NotAudited:
    """A function that looks like acquiring `what`, named at `calls` places of a module's code.

    `because`: what gives that back, as far as known.
    """

    function: str
    calls: int
    what: str
    because: str = ""


@dataclass(frozen=True)
class Instruction:
    """One by which a module gives the CPU memory, or takes it away: VMRUN and its like.

    `section` and `offset`: where, in `function` if a symbol has it; `left`: why nobody is told of
    it, empty when it is.
    """

    name: str
    section: str
    offset: int
    left: str = ""
    function: str = ""

    @property
    def words(self) -> str:
        """Of one that is left: where, and why."""
        where = f" in {self.function}" if self.function else ""
        return f"{self.name} at {self.section}+{self.offset:#x}{where}: {self.left}"


@dataclass(frozen=True)
class Target:
    """A module that is judged. `file`: as it was given; `release`: of its kernel.

    `audited`: functions whose calls are judged; `unaudited`: those that look like
    acquiring something and that no family has. `instructions`: all that give the CPU memory.
    """

    name: str
    file: str
    release: str
    audited: tuple[str, ...]
    unaudited: tuple[NotAudited, ...]
    has_debug_info: bool
    instructions: tuple[Instruction, ...] = ()


@dataclass(frozen=True)
class Reason:
    """Why a life is not what it should be. `obstacle`: the kind of it, for programs."""

    obstacle: Obstacle
    message: str


@dataclass(frozen=True)
class Ran:
    """An exercise and how it ended. `status`: None when it did not end in time."""

    name: str
    status: int | None
    output: str
    seconds: float


@dataclass(frozen=True)
class Life:
    """One life. `stage`: the last that was begun; `reasons`: what spoilt it, nothing when whole."""

    targets: tuple[Target, ...]
    stage: Stage
    reasons: tuple[Reason, ...]
    ran: tuple[Ran, ...]
    result: Result
    bounds: Bounds = NEVER_LOADED
