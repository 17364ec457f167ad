"""`freeonce run`: scenarios in a real guest, judged."""

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from freeonce.cli.completion import scenario_names
from freeonce.cli.gathered import Gathered
from freeonce.cli.loudness import loudness_options, stderr_console
from freeonce.cli.options import accelerator_option, jobs_option, shared_option
from freeonce.cli.output import STDOUT, Out, written_out
from freeonce.cli.outputs import (
    PICTURES,
    UNWRITTEN,
    Files,
    Report,
    chosen,
    now,
    output_options,
    tell_reports,
)
from freeonce.cli.progress import STARTING, with_progress
from freeonce.errors import HostError
from freeonce.guest import COMMAND_SECONDS
from freeonce.project.setting import Setting, find_setting
from freeonce.report.failures import print_failures
from freeonce.report.places import NOWHERE, Places, sites
from freeonce.report.terminal import print_problems, print_report
from freeonce.run.conclude import exit_status
from freeonce.run.failures import Where, chosen_for_failures, run_each
from freeonce.run.hire import crew_of
from freeonce.run.task import Crew, Options, Task
from freeonce.subject.symbols import places as places_of


class _Point(click.ParamType[Where]):
    name = "N[+]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Where:
        match = re.fullmatch(r"([1-9]\d{0,8})(\+?)", str(value))
        if match is None:
            self.fail(f"{value!r} is no failure point; write it as 3, or 3+", param, ctx)
        return int(match[1]), bool(match[2])


@click.command()
@click.argument("patterns", nargs=-1, metavar="[NAME-OR-GLOB]...", shell_complete=scenario_names)
@accelerator_option
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=COMMAND_SECONDS,
    show_default=True,
    help="Seconds that one scenario may take.",
)
@click.option(
    "--act",
    type=click.Choice(["record", "real"]),
    default="record",
    show_default=True,
    help="real: the kernel suffers faulty releases of pool memory.",
)
@click.option(
    "--repeat", type=click.IntRange(min=1), default=1, help="Run each scenario so many times."
)
@click.option(
    "--fail-each",
    is_flag=True,
    help="Make each allocation of a scenario fail, one after the other.",
)
@click.option(
    "--fail-at",
    type=_Point(),
    help="Only allocation N of each, with + all after it too: a point of --fail-each again.",
)
@shared_option
@jobs_option
@click.option("--no-faults", is_flag=True, help="Leave the planted faults out.")
@loudness_options
@output_options
@click.pass_context
def run(
    context: click.Context,
    /,
    *,
    patterns: tuple[str, ...],
    accel: str,
    timeout: float,
    act: str,
    repeat: int,
    fail_each: bool,
    fail_at: Where | None,
    shared: bool,
    jobs: int | None,
    no_faults: bool,
    quiet: bool,
    verbose: bool,
    **outputs: Path | None,
) -> None:
    """Run scenarios and judge what they did to their allocations. Without a name: all.

    Exit status: 0 every verdict as expected, 1 some not, 2 usage, 3 this host cannot,
    4 some verdict incomplete.
    """
    failing = fail_each or fail_at is not None
    files = chosen(outputs, failing)
    if failing and (repeat > 1 or act == "real"):
        raise click.UsageError("allocations that fail go neither with --repeat nor --act real")
    if fail_each and fail_at is not None:
        raise click.UsageError("--fail-at is one point of --fail-each; give one of them")
    if shared and jobs is not None:
        raise click.UsageError("--jobs is for clones; with --shared-guest there is one guest")
    # With --json - nothing else goes to stdout.
    console = Out(stderr=files.get("json") == STDOUT, highlight=False)
    options = Options("act=real" if act == "real" else "", timeout, repeat, not no_faults)
    with stderr_console(quiet, verbose) as errors:
        setting = find_setting(accel)
        crew = crew_of(setting, shared, jobs)
        task = _Task(setting, crew, patterns, options, failing, fail_at, console, errors, quiet)
        gathered = Gathered(pictures=not PICTURES.isdisjoint(files))
        try:
            _gather(task, gathered)
        except BaseException:
            # Ctrl-C too: what was done before is not lost with the rest.
            if gathered.results:
                _tell(task, gathered, files, gathered.how_far)
            raise
        status = _tell(task, gathered, files)
    context.exit(status)


@dataclass(frozen=True)
class _Task:
    """What was asked for. `console`: for the report; `errors`: for how it goes on.

    `hired`: who runs the scenarios, once. `failing`: allocations are made to fail, only the one
    `only` where it is given.
    """

    setting: Setting
    hired: AbstractContextManager[Crew]
    patterns: tuple[str, ...]
    options: Options
    failing: bool
    only: Where | None
    console: Console
    errors: Console
    quiet: bool


def _gather(task: _Task, gathered: Gathered) -> None:
    """Run all of it; what is done is gathered, whatever then ends it."""
    if task.failing:
        _gather_points(task, gathered)
        return
    for result in with_progress(task.hired, task.patterns, task.options, gathered, task.errors):
        gathered.add(result)


def _gather_points(task: _Task, gathered: Gathered) -> None:
    """The failure points, then the planted faults as they are."""
    with task.errors.status(STARTING) as status, task.hired as crew:

        def told(name: str) -> None:
            status.update(Text(name))

        scenarios, faults = chosen_for_failures(crew.scenarios(), task.patterns, task.options)
        gathered.total = len(scenarios) + len(faults)
        gathered.beside.update(fault.name for fault in faults)
        for points in run_each(crew, scenarios, task.options, task.only, told):
            gathered.add_points(points)
            if not task.errors.is_terminal:
                name = points.plain.scenario.name
                task.errors.print(Text(f"{name}: {len(points.points)} failure points"))
        tasks = [Task(fault, task.options) for fault in faults]
        for result in crew.run(tasks, lambda fault: told(fault.name)):
            gathered.add(result)


def _tell(task: _Task, gathered: Gathered, files: Files, broken_off: str = "") -> int:
    """Print and write what a run came to. No failure to do so hides a verdict or another report."""
    report = _report(task, gathered, broken_off)
    failed = False
    try:
        with written_out():
            _print(task, report)
    except HostError as error:
        failed = True
        click.echo(f"freeonce: {error}", err=True)
    failed |= not tell_reports(files, report, task.errors)
    return exit_status(report.with_points) or (UNWRITTEN if failed else 0)


def _report(task: _Task, gathered: Gathered, broken_off: str) -> Report:
    points = gathered.points if task.failing else None
    failed = {point.site for one in gathered.points for point in one.points}
    of_points = [result for one in gathered.points for result in one.results]
    wanted = sites([*gathered.results, *of_points]) | failed
    return Report(
        host=task.setting.document(),
        results=gathered.results,
        beside=frozenset(gathered.beside),
        faults=gathered.faults,
        points=points,
        places=_places(task.setting, wanted),
        when=now(),
        broken_off=broken_off,
    )


def _print(task: _Task, report: Report) -> None:
    console, places = task.console, report.places
    if report.points is not None:
        wrong = any(not one.as_expected for one in report.with_points)
        if wrong or not task.quiet:
            print_failures(console, report.points, report.faults, places)
            plain = [one for one in report.results if one.scenario.name in report.beside]
            print_problems(console, plain, report.faults, places)
    elif task.quiet or report.broken_off:
        print_problems(console, report.results, report.faults, places)
    else:
        print_report(console, report.host, report.asked_for, report.faults, places)
    if report.broken_off:
        console.print(Text(report.broken_off, style="bold yellow"))


def _places(setting: Setting, wanted: set[int]) -> Places:
    """The lines of source; without them a report is poorer, and says so, but none the less true."""
    try:
        return places_of(setting.image.specimens, wanted)
    except HostError as error:
        click.echo(f"freeonce: no lines of source: {error}", err=True)
        return NOWHERE
