"""`freeonce run`: scenarios in a real guest, judged."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from freeonce.audit.faults import planted
from freeonce.audit.points import Points, passed
from freeonce.cli.completion import scenario_names
from freeonce.cli.loudness import loudness_options, stderr_console
from freeonce.cli.options import accelerator_option, jobs_option, shared_option
from freeonce.cli.output import STDOUT
from freeonce.cli.outputs import Report, chosen, output_options, write_reports
from freeonce.cli.progress import STARTING, with_progress
from freeonce.errors import HostError
from freeonce.guest import COMMAND_SECONDS
from freeonce.project.setting import Setting, find_setting
from freeonce.report.document import run_document
from freeonce.report.failures import failures_document, print_failures
from freeonce.report.places import NOWHERE, Places, sites
from freeonce.report.terminal import print_problems, print_report
from freeonce.run.conclude import exit_status
from freeonce.run.failures import run_each
from freeonce.run.hire import crew_of
from freeonce.run.task import Crew, Options
from freeonce.subject.symbols import places as places_of


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
    files = chosen(outputs, fail_each)
    if fail_each and (repeat > 1 or act == "real"):
        raise click.UsageError("--fail-each goes neither with --repeat nor with --act real")
    if shared and jobs is not None:
        raise click.UsageError("--jobs is for clones; with --shared-guest there is one guest")
    # With --json - nothing else goes to stdout.
    console = Console(stderr=files.get("json") == STDOUT, highlight=False)
    options = Options("act=real" if act == "real" else "", timeout, repeat, not no_faults)
    with stderr_console(quiet, verbose) as errors:
        setting = find_setting(accel)
        crew = crew_of(setting, shared, jobs)
        task = _Task(setting, crew, patterns, options, console, errors, quiet)
        report, status = _run_fail_each(task) if fail_each else _run_plainly(task)
        if files:
            with errors.status("writing the reports"):
                write_reports(files, report)
        for file in files.values():
            if file != STDOUT:
                errors.print(f"wrote {file}", highlight=False, markup=False, soft_wrap=True)
    context.exit(status)


@dataclass(frozen=True)
class _Task:
    """What was asked for. `console`: for the report; `errors`: for how it goes on.

    `hired`: who runs the scenarios, once.
    """

    setting: Setting
    hired: AbstractContextManager[Crew]
    patterns: tuple[str, ...]
    options: Options
    console: Console
    errors: Console
    quiet: bool


def _run_plainly(task: _Task) -> tuple[Report, int]:
    """Run and print the report; the same for files, and the exit status."""
    beside: set[str] = set()
    done = list(with_progress(task.hired, task.patterns, task.options, beside, task.errors))
    results = [result for result in done if result.scenario.name not in beside]
    host, faults = task.setting.document(), planted(done)
    places = _places(task.setting, sites(done))
    if task.quiet:
        print_problems(task.console, done, faults, places)
    else:
        print_report(task.console, host, results, faults, places)
    document = run_document(host, results, faults, places)
    return Report(host, document, done, faults, (), places, _now()), exit_status(done)


def _run_fail_each(task: _Task) -> tuple[Report, int]:
    """The same with each allocation made to fail."""
    all_points = list(_failures(task))
    done = [one.plain for one in all_points]
    points = [point for one in all_points for point in one.points]
    host, status = task.setting.document(), 0 if passed(all_points) else 1
    places = _places(task.setting, sites(done) | {point.site for point in points})
    if status or not task.quiet:
        print_failures(task.console, all_points, places)
    document = failures_document(host, all_points)
    return Report(host, document, done, planted(done), points, places, _now()), status


def _failures(task: _Task) -> Iterator[Points]:
    """The failure points, with what runs now shown meanwhile."""
    with task.errors.status(STARTING) as status, task.hired as crew:
        for points in run_each(crew, task.patterns, task.options, told=status.update):
            yield points
            if not task.errors.is_terminal:
                name = points.plain.scenario.name
                task.errors.print(f"{name}: {len(points.points)} failure points", highlight=False)


def _places(setting: Setting, wanted: set[int]) -> Places:
    """The lines of source; without them a report is poorer, and says so, but none the less true."""
    try:
        return places_of(setting.image.module, wanted)
    except HostError as error:
        click.echo(f"freeonce: no lines of source: {error}", err=True)
        return NOWHERE


def _now() -> str:
    return datetime.now(UTC).isoformat(" ", "seconds")
