"""What a plan unfolds into: tasks of plain JSON, each with a key of all that went into it. Pure."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from freeonce.campaign.plan import Audit, Plan, Scenarios
from freeonce.evidence.scenarios import Scenario
from freeonce.run.choose import select

Body = dict[str, object]

KEY_DIGITS = 32


@dataclass(frozen=True)
class Task:
    """`body`: all that a worker needs to know. `name`: what people call it."""

    key: str
    name: str
    body: Body


@dataclass(frozen=True)
class Base:
    """What goes into every task. `image`: its manifest's SHA-256. `harness`: see `identity`.

    `table`: the image's scenarios, asked for only when the plan has some. `is_path`: whether a word
    is a file or folder; `digest`: of one.
    """

    image: str
    harness: str
    accelerator: str
    table: Callable[[], Sequence[Scenario]]
    is_path: Callable[[str], bool]
    digest: Callable[[str], str]

    def task(self, name: str, body: Body) -> Task:
        """With its key."""
        whole = body | {
            "name": name,
            "image": self.image,
            "harness": self.harness,
            "accel": self.accelerator,
        }
        return Task(key_of(whole), name, whole)


def key_of(body: Body) -> str:
    """Equal for equal tasks, whoever makes them and when."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


def unfold(plan: Plan, base: Base) -> Iterator[Task]:
    """All tasks of a plan, each once. Raises UsageError for names and files that there are not."""
    seen = set[str]()
    for task in _all(plan, base):
        if task.key not in seen:
            seen.add(task.key)
            yield task


def _all(plan: Plan, base: Base) -> Iterator[Task]:
    for scenarios in plan.scenarios:
        yield from _of_scenarios(scenarios, base)
    for audit in plan.audits:
        yield from _of_audit(audit, base)


def _of_scenarios(wish: Scenarios, base: Base) -> Iterator[Task]:
    chosen = select(tuple(base.table()), wish.names)
    for number in range(wish.repeat):
        for scenario in chosen:
            body: Body = {"kind": "scenario", "number": number, "timeout": wish.timeout}
            yield base.task(scenario.name, body)


def _of_audit(wish: Audit, base: Base) -> Iterator[Task]:
    # What is no path is the name of a module in the image.
    paths = [one for one in (*wish.targets, *wish.dependencies) if base.is_path(one)]
    paths += [*wish.exercises, *(one.partition(":")[0] for one in wish.files)]
    body: Body = {
        "kind": "audit",
        "targets": list(wish.targets),
        "params": wish.params,
        "exercises": list(wish.exercises),
        "commands": list(wish.commands),
        "files": list(wish.files),
        "dependencies": list(wish.dependencies),
        "timeout": wish.timeout,
        "fail_each": wish.fail_each,
        "fail_limit": wish.fail_limit,
        "digests": {path: base.digest(path) for path in sorted(set(paths))},
    }
    for number in range(wish.repeat):
        yield base.task(" ".join(wish.targets), body | {"number": number})
