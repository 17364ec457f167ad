"""What a plan unfolds into: tasks of plain JSON, each with a key of all that went into it. Pure."""

import fnmatch
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from freeonce.campaign.outcome import Outcome
from freeonce.campaign.plan import Audit, Census, Plan, Scenarios
from freeonce.errors import UsageError
from freeonce.evidence.scenarios import Scenario
from freeonce.run.choose import select
from freeonce.subject.module import canonical

Body = dict[str, object]

KEY_DIGITS = 32
CENSUS, CENSUS_FAILURES = "census", "census-failures"
"""Kinds of tasks: the life of a module, and that with failures of its load."""
CENSUS_LIMIT = 3
"""Acquisitions of one stack that a census makes fail, if nobody says how many."""
MOST = 1_000_000
"""Tasks of a plan."""


@dataclass(frozen=True)
class Task:
    """`body`: all that a worker needs to know. `name`: what people call it."""

    key: str
    name: str
    body: Body


Running = Callable[[Iterable[Task], Callable[[str], None]], Iterator[tuple[Task, Outcome]]]
"""What runs tasks, here (`local`) or on a cluster: each with its outcome, in whatever order, asked
for no sooner than somebody is free for it. It is given who is told what people should know.
"""
Accelerators = Callable[[bool], str]
"""What runs guests: with SVM, as scenarios need it, or without."""


@dataclass(frozen=True)
class Base:
    """What goes into every task of a kernel. `image`: its manifest's SHA-256. `harness`: see
    `identity`.

    `package`: its kernel package's. `qemu`: its version. `table`: the image's scenarios, asked for
    only when the plan has some. `modules`: of its kernel package, files by name. `is_path`: whether
    a word is a file or folder; `digest`: of one; `subject`: of a module's. `libraries`: digests of
    what exercises and files are linked with, by path. `tools`: the versions of what builds
    subjects, none where nothing is built. `folder`: that paths are taken from. `kernel`: as the
    plan names it, if it does.
    """

    image: str
    package: str
    harness: str
    qemu: str
    accelerator: Accelerators
    table: Callable[[], Sequence[Scenario]]
    modules: Callable[[], Mapping[str, Path]]
    is_path: Callable[[str], bool]
    digest: Callable[[str], str]
    subject: Callable[[str], str]
    libraries: Callable[[Sequence[str], Sequence[str]], Mapping[str, str]]
    tools: Callable[[Sequence[str]], Mapping[str, str]]
    folder: str
    kernel: str = ""

    def task(self, name: str, body: Body) -> Task:
        """With its key, which is the same wherever the paths lie."""
        whole = body | {
            "name": name,
            "image": self.image,
            "package": self.package,
            "harness": self.harness,
            "qemu": self.qemu,
            "accel": self.accelerator(body["kind"] == "scenario"),
        }
        if self.kernel:
            whole["kernel"] = self.kernel
        aside = {"folder": self.folder} if body["kind"] == "audit" else {}
        return Task(key_of(whole), name, whole | aside)


def label(name: str, body: Mapping[str, object]) -> str:
    """A task as people call it, with what tells it from others of its name."""
    each = body.get("fail_each")
    failing = "" if each is None else "--fail-each" if each is True else f"--fail-each={each}"
    on = (str(body.get(key) or "") for key in ("kernel", "accel"))
    under = ", ".join(one for one in on if one not in ("", "tcg"))
    words = (name, str(body.get("params") or ""), failing, under and f"({under})")
    return " ".join(filter(None, words))


def key_of(body: Body) -> str:
    """Equal for equal tasks, whoever makes them and when."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


def unfold(plan: Plan, base_of: Callable[[str], Base]) -> Iterator[Task]:
    """All tasks of a plan, each once. `base_of`: a kernel by its name, "" for that in use.

    Raises UsageError for names and files that there are not, and for more than `MOST`.
    """
    seen = set[str]()
    for task in _all(plan, base_of):
        if task.key not in seen:
            if len(seen) == MOST:
                raise UsageError(f"the plan has more than {MOST} tasks; split the plan")
            seen.add(task.key)
            yield task


def _all(plan: Plan, base_of: Callable[[str], Base]) -> Iterator[Task]:
    for scenarios in plan.scenarios:
        for kernel in scenarios.kernels or ("",):
            yield from _of_scenarios(scenarios, base_of(kernel))
    for audit in plan.audits:
        for kernel in audit.kernels or ("",):
            yield from _of_audit(audit, base_of(kernel))
    for census in plan.census:
        for kernel in census.kernels or ("",):
            yield from _of_census(census, base_of(kernel))


def _of_scenarios(wish: Scenarios, base: Base) -> Iterator[Task]:
    chosen = select(tuple(base.table()), wish.names)
    failing: Body = {"fail_each": True, "fail_limit": wish.fail_limit} if wish.fail_each else {}
    for number in range(wish.repeat):
        for scenario in chosen:
            body: Body = {"kind": "scenario", "number": number, "timeout": wish.timeout}
            yield base.task(scenario.name, body | failing)


def _of_audit(wish: Audit, base: Base) -> Iterator[Task]:
    modules = (*wish.targets, *wish.dependencies)
    subjects = [one for one in modules if base.is_path(one)]
    paths = [*wish.exercises, *(one.partition(":")[0] for one in wish.files)]
    # What is no path is the name of a module in the image; whether there is one, the life tells.
    package = base.modules()
    named = [one for one in modules if one not in subjects and canonical(one) in package]
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
        "subjects": {path: base.subject(path) for path in sorted(set(subjects))},
        "libraries": dict(base.libraries(wish.exercises, wish.files)),
        "tools": dict(base.tools(subjects)),
        "digests": {path: base.digest(path) for path in sorted(set(paths))},
        "modules": {one: base.digest(str(package[canonical(one)])) for one in sorted(set(named))},
    }
    for number in range(wish.repeat):
        yield base.task(" ".join(wish.targets), body | {"number": number})


def _of_census(wish: Census, base: Base) -> Iterator[Task]:
    names = matching(wish.names, base.modules())
    yield from census_tasks(base, names)
    if wish.fail_each:
        yield from census_tasks(base, names, wish.fail_limit or CENSUS_LIMIT)


def matching(patterns: Sequence[str], modules: Mapping[str, Path]) -> list[str]:
    """The names of modules that a glob matches, without one all.

    Raises UsageError for one that matches none.
    """
    every = sorted(modules)
    for pattern in patterns:
        if not fnmatch.filter(every, pattern):
            raise UsageError(f"the guest's kernel package has no module {pattern!r}")
    return [
        name
        for name in every
        if not patterns or any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
    ]


def census_tasks(base: Base, names: Sequence[str], limit: int | None = None) -> Iterator[Task]:
    """One for each module. `limit`: with failures, at most so many of one stack; None without."""
    modules = base.modules()
    for name in names:
        digest = base.digest(str(modules[name]))
        kind = CENSUS if limit is None else CENSUS_FAILURES
        body: Body = {"kind": kind, "number": 0, "modules": {name: digest}}
        yield base.task(name, body if limit is None else body | {"limit": limit})
