"""`freeonce campaign`: a plan's runs, here or on other hosts, each kept as it comes."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from freeonce.audit.model import Verdict
from freeonce.campaign.bases import bases
from freeonce.campaign.compare import in_short
from freeonce.campaign.loading import loaded
from freeonce.campaign.local import local
from freeonce.campaign.outcome import Outcome
from freeonce.campaign.pages import served
from freeonce.campaign.plan import Plan, parse_plan
from freeonce.campaign.store import FILE, Store, reading, writing
from freeonce.campaign.task import Accelerators, Running, Task, label, unfold
from freeonce.cli.loudness import stderr_console
from freeonce.cli.options import Address, accelerator_option
from freeonce.cli.outputs import UNWRITTEN
from freeonce.errors import UsageError
from freeonce.given import given_text
from freeonce.machine.argv import MIB
from freeonce.project.machine import Machine
from freeonce.run.conclude import INCOMPLETE
from freeonce.run.crew import default_jobs

TELL_SECONDS = 10.0
REFUSALS = 20
"""Reasons of refusals that are told apart."""
OTHERS = "for other reasons"


@click.command()
@click.argument("plan_file", metavar="PLAN.toml", type=click.Path(path_type=Path))
@click.option(
    "--store",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder for results. Default: beside the plan, with its name and .results.",
)
@click.option(
    "--scheduler",
    metavar="TCP",
    help="A Dask scheduler, tcp://HOST:PORT. Default: run on this machine.",
)
@click.option(
    "--local",
    "slots",
    type=click.IntRange(min=1),
    help="Number of guests at a time on this machine.",
)
@click.option(
    "--again",
    multiple=True,
    metavar="KEY",
    help="Run tasks again whose keys begin with this, and keep the new result.",
)
@click.option(
    "--page",
    type=Address(),
    metavar="[HOST:]PORT",
    help="Serve the campaign's page, to this machine alone unless HOST is given; 0: any port.",
)
@accelerator_option
@click.pass_context
def campaign(
    context: click.Context,
    /,
    *,
    plan_file: Path,
    folder: Path | None,
    scheduler: str | None,
    slots: int | None,
    again: tuple[str, ...],
    page: tuple[str, int] | None,
    accel: str,
) -> None:
    """Run what a plan names, and keep each result. The same command continues a campaign.

    Exit status: 0 every verdict is as expected, 1 some is not, 2 wrong usage, 3 this host cannot
    run it, 4 some verdict is incomplete.
    """
    if scheduler and slots:
        raise click.UsageError("--local is for this machine; with --scheduler its workers count")
    plan = _plan(plan_file)
    folder = folder or plan_file.with_suffix(".results")
    with ExitStack() as stack:
        errors = stack.enter_context(stderr_console(False, False))
        elsewhere: Accelerators | None = None
        if scheduler:
            before = _accelerators(folder)
            workers, elsewhere = stack.enter_context(_cluster(scheduler, accel, before, errors))
        else:
            workers = stack.enter_context(local(slots or default_jobs(Machine.memory * MIB)))
        base_of = bases(accel, scenarios=bool(plan.scenarios), elsewhere=elsewhere)
        # Unfolded anew for each use: all tasks at once may be more than memory holds.
        keys = {task.key for task in unfold(plan, base_of)}
        store = stack.enter_context(writing(folder))
        there = store.keys() - _again(keys, store, again)
        store.plan(unfold(plan, base_of))
        missing = (task for task in unfold(plan, base_of) if task.key not in there)
        if page is not None:
            stack.enter_context(_served(folder, page, errors))
        refused = _led(missing, len(keys - there), workers, store, errors)
        context.exit(_told(store, keys, refused))


def _again(keys: Set[str], store: Store, prefixes: Sequence[str]) -> set[str]:
    """Those of this plan that begin so and have results. Raises UsageError for none."""
    there = store.keys() & keys
    found = set[str]()
    for prefix in prefixes:
        mine = {key for key in there if prefix and key.startswith(prefix)}
        if not mine:
            raise UsageError(
                f"--again {prefix!r}: no result of this plan has a key that begins with that"
            )
        found |= mine
    return found


@contextmanager
def _served(folder: Path, at: tuple[str, int], errors: Console) -> Iterator[None]:
    """The campaign's page, as long as it runs."""
    with served(folder, at) as address:
        errors.print(Text(f"page: {address}"))
        yield


def _plan(file: Path) -> Plan:
    return parse_plan(given_text(file), str(file))


def _accelerators(folder: Path) -> Mapping[bool, str]:
    """Of the results that are there: who goes on, goes on with these."""
    if not (folder / FILE).exists():
        return {}
    with reading(folder) as store:
        return store.accelerators()


@contextmanager
def _cluster(
    scheduler: str, accel: str, before: Mapping[bool, str], errors: Console
) -> Iterator[tuple[Running, Accelerators]]:
    """Workers of Dask, and what runs their guests. It is loaded only here: that takes seconds.

    `before`: what ran those of the results that are there.
    """
    cluster = loaded("freeonce.campaign.cluster")
    with cluster.remote(scheduler) as client:
        accelerators: Accelerators = lambda _: accel  # noqa: E731
        if accel == "auto":
            accelerators = cluster.accelerators(
                client, lambda said: errors.print(Text(said)), before
            )

        def running(
            tasks: Iterable[Task], say: Callable[[str], None]
        ) -> Iterator[tuple[Task, Outcome]]:
            if link := cluster.dashboard(client):
                say(f"Dask's dashboard: {link}")
            yield from cluster.run(client, tasks, say=say)

        yield running, accelerators


def _led(
    tasks: Iterable[Task],
    count: int,
    running: Running,
    store: Store,
    errors: Console,
) -> Counter[str]:
    """Run them, and keep what comes; why what did not could not be run, and how often."""
    refused: Counter[str] = Counter()
    if not count:
        return refused
    with watched(errors, count) as watch:
        for task, outcome in running(tasks, watch.say):
            if outcome.refused:
                said = f"{outcome.worker.partition(':')[0]}: {outcome.refused}"
                refused[said if said in refused or len(refused) < REFUSALS else OTHERS] += 1
            else:
                store.add(task, outcome)
            watch.done(task, outcome)
    return refused


def _told(store: Store, keys: Set[str], refused: Counter[str]) -> int:
    """Say what it came to; the exit status."""
    counts = store.counts(keys)
    kept = counts.total()
    verdicts = Counter[str]()
    for (verdict, _), count in counts.items():
        verdicts[verdict] += count
    said = ", ".join(f"{verdicts[one]} {one}" for one in Verdict if verdicts[one])
    wrong = sum(count for (_, as_expected), count in counts.items() if not as_expected)
    more = f"; {wrong} not as expected (freeonce results, --where as_expected=no)" if wrong else ""
    click.echo(f"{kept} of {len(keys)} kept: {said or 'none'}{more}")
    for reason, count in refused.items():
        click.echo(f"freeonce: {count} could not be run: {reason}", err=True)
    # With --again there may be an old one of what could not be run.
    if kept < len(keys) or refused:
        return UNWRITTEN
    return INCOMPLETE if counts[Verdict.INCOMPLETE, False] else int(wrong > 0)


class _Watch:
    """How far it is: a bar with an estimate in a terminal, a line now and then in a log."""

    def __init__(self, console: Console, total: int, progress: Progress) -> None:
        self._console = console
        self._total = total
        self._progress = progress
        self._bar = progress.add_task("campaign", total=total)
        self._done = 0
        self._start = self._next = time.monotonic()

    def say(self, words: str) -> None:
        """Beside the bar."""
        # A line of a log stays one.
        self._console.print(Text(words), soft_wrap=not self._console.is_terminal)

    def done(self, task: Task, outcome: Outcome) -> None:
        """One more."""
        self._done += 1
        called = label(task.name, task.body)
        self._progress.update(self._bar, advance=1, description=called)
        if not outcome.refused and not outcome.as_expected:
            said = "; ".join(filter(None, (outcome.verdict, in_short(outcome.document))))
            self.say(f"{called}: {said}, not expected")
        now = time.monotonic()
        if not self._console.is_terminal and now >= self._next:
            self._next = now + TELL_SECONDS
            self.say(f"{self._done} of {self._total}, {now - self._start:.0f} s")


@contextmanager
def watched(console: Console, total: int) -> Iterator[_Watch]:
    """Shows how far tasks are, until it is left."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with shown as progress:
        yield _Watch(console, total, progress)
