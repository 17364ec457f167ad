"""Who plays what next, and in how much time a moment is drawn."""

import random
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from signal import SIGKILL
from statistics import median

from tests.death.kept import Kept
from tests.death.life import Spans
from tests.death.scenes import Scene, play, watch

UNDISTURBED = "nobody: a life to measure"
MEASURED_EACH = 10
"""Plays between two measurements: a machine does other things, too."""
MEASUREMENTS = 3
"""The last, of which the median counts."""
SHORTER, LONGER = 0.8, 1.02
"""What a moment that came too late, and one in time, do to what moments are drawn from: never more
than was measured, of which one in ten is too late where lives are of unlike lengths."""


class Playing:
    """Plays scenes until each was played so often in time. For several threads.

    `same`: whether the harness is still what it was when it began.
    """

    def __init__(
        self,
        kept: Kept,
        scenes: Sequence[Scene],
        work: Path,
        times: int,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.kept = kept
        self._scenes = scenes
        self._work = work
        self._times = times
        self._told = told
        self._changing = threading.Lock()
        self._on: Counter[str] = Counter()
        self._measuring = defaultdict[str, threading.Lock](threading.Lock)
        self._measured = defaultdict[str, deque[Spans]](lambda: deque(maxlen=MEASUREMENTS))
        self._since: Counter[str] = Counter()
        self._part = defaultdict[str, float](lambda: 1.0)
        self.over = threading.Event()
        self.same: Callable[[], bool] = lambda: True

    @property
    def whole(self) -> bool:
        """Whether all was played."""
        return all(len(self.kept.row(one.name).moments) >= self._times for one in self._scenes)

    def lead(self) -> None:
        """Play until there is nothing to play, or it is over."""
        while not self.over.is_set() and (taken := self._take()) is not None:
            scene, number = taken
            try:
                self.play(scene, number)
            finally:
                with self._changing:
                    self._on[scene.name] -= 1

    def _take(self) -> tuple[Scene, int] | None:
        """The scene that was played least; the number of its try."""
        with self._changing:
            if not self.same():
                self.over.set()
                self._told("the harness is another now: what was played of this one is kept")
                return None
            played = {
                one: len(self.kept.row(one.name).moments) + self._on[one.name]
                for one in self._scenes
                # A moment that never comes in time is not tried for ever.
                if self.kept.row(one.name).late <= self._times
            }
            scene = min(played, key=lambda one: played[one], default=None)
            if scene is None or played[scene] >= self._times:
                return None
            self._on[scene.name] += 1
            row = self.kept.row(scene.name)
            row.tries += 1
            return scene, row.tries

    def play(self, scene: Scene, number: int) -> None:
        """Once, and keep what came of it. `number`: of the try; the moment is drawn by it."""
        seconds = self._seconds(scene)
        chance = random.Random(f"{self.kept.seed} {scene.name} {number}")
        came = play(scene, self._work, self._work / "templates", chance, seconds)
        with self._changing:
            change = SHORTER if came.moment is None else LONGER
            self._part[scene.name] = min(1.0, change * self._part[scene.name])
            self.kept.row(scene.name).add(number, came.moment, came.wrong)
            when = "over before" if came.moment is None else f"{came.moment:.2f} of {seconds:.2f} s"
            self._told(f"{scene.name} {number}: {when} {list(came.wrong) or ''}")

    def _seconds(self, scene: Scene) -> float:
        """In which it can happen, as measured lately."""
        with self._measuring[scene.group]:
            measured = self._measured[scene.group]
            self._since[scene.group] += 1
            if not measured or self._since[scene.group] > MEASURED_EACH:
                self._since[scene.group] = 0
                spans, wrong = watch(scene, self._work, self._work / "templates")
                measured.append(spans)
                with self._changing:
                    row = self.kept.row(UNDISTURBED)
                    row.tries += 1
                    row.add(row.tries, spans.of("harness", SIGKILL), tuple(wrong))
            whole = median(one.of(scene.who, scene.number) for one in measured)
            return whole * self._part[scene.name]
