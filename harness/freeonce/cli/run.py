"""`freeonce run`: scenarios in a real guest, judged."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from freeonce.campaign import Crew, Options, Result, Scenarios, exit_status, run_all
from freeonce.cli.options import accelerator_option, jobs_option, output_option, shared_option
from freeonce.cli.setting import find_setting
from freeonce.errors import HostError
from freeonce.evidence.scenarios import Scenario
from freeonce.failures import Points, passed, run_each
from freeonce.faults import planted
from freeonce.guest import COMMAND_SECONDS
from freeonce.report.document import run_document
from freeonce.report.failures import failures_document, print_failures
from freeonce.report.junit import junit_text
from freeonce.report.terminal import print_report

STDOUT = Path("-")
STARTING = "making guests ready"


@click.command()
@click.argument("patterns", nargs=-1, metavar="[NAME-OR-GLOB]...")
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
@output_option("--json", "Write JSON; - for stdout.")
@output_option("--junit", "Write JUnit XML.")
@output_option("--html", "Write the report as HTML.")
@click.pass_context
def run(
    context: click.Context,
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
    json_file: Path | None,
    junit_file: Path | None,
    html_file: Path | None,
) -> None:
    """Run scenarios and judge what they did to their allocations. Without a name: all.

    Exit status: 0 every verdict as expected, 1 some not, 2 usage, 3 this host cannot,
    4 some verdict incomplete.
    """
    if shared and jobs is not None:
        raise click.UsageError("--jobs is for clones; with --shared-guest there is one guest")
    _check_files(json_file, junit_file, html_file)
    setting = find_setting(accel)
    crew = setting.crew(shared, jobs)
    options = Options("act=real" if act == "real" else "", timeout, repeat, not no_faults)
    host = setting.document()
    # With --json - nothing else goes to stdout.
    console = Console(stderr=json_file == STDOUT, highlight=False, record=html_file is not None)
    if fail_each:
        if junit_file is not None or repeat > 1 or act == "real":
            raise click.UsageError("--fail-each goes with --json and --html only")
        all_points = list(_failures(crew, patterns, options))
        print_failures(console, all_points)
        document = failures_document(host, all_points)
        status = 0 if passed(all_points) else 1
    else:
        beside: set[str] = set()
        done = list(_with_progress(crew, patterns, options, beside))
        results = [result for result in done if result.scenario.name not in beside]
        print_report(console, host, results, planted(done))
        document = run_document(host, results, planted(done))
        status = exit_status(done)
        if junit_file is not None:
            _write(junit_file, junit_text(done))
    if json_file is not None:
        _write(json_file, json.dumps(document, indent=1) + "\n")
    if html_file is not None:
        _write(html_file, console.export_html())
    context.exit(status)


def _failures(
    hired: AbstractContextManager[Crew], patterns: tuple[str, ...], options: Options
) -> Iterator[Points]:
    """The failure points, with what runs now on stderr meanwhile."""
    console = Console(stderr=True)
    with console.status(STARTING) as status, hired as crew:
        for points in run_each(crew, patterns, options, told=status.update):
            yield points
            if not console.is_terminal:
                name = points.plain.scenario.name
                console.print(f"{name}: {len(points.points)} failure points", highlight=False)


def _check_files(json_file: Path | None, *others: Path | None) -> None:
    if STDOUT in others:
        raise click.UsageError("only --json may go to standard output")
    for file in (json_file, *others):
        if file is not None and file != STDOUT:
            _writable(file)


def _writable(file: Path) -> None:
    """Refuse before the run what could not be written after it."""
    folder = file.absolute().parent
    if not folder.is_dir():
        raise click.UsageError(f"cannot write {file}: there is no folder {folder}")
    if file.is_dir() or not os.access(file if file.exists() else folder, os.W_OK):
        raise click.UsageError(f"cannot write {file}: it is a folder, or not ours to write")


def _write(file: Path, text: str) -> None:
    if file == STDOUT:
        click.echo(text, nl=False)
        return
    try:
        file.write_text(text)
    except OSError as error:
        raise HostError("cannot-write", f"cannot write {file}: {error.strerror}") from error


def _with_progress(
    hired: AbstractContextManager[Crew],
    patterns: tuple[str, ...],
    options: Options,
    beside: set[str],
) -> Iterator[Result]:
    """The results, and into `beside` the names of the planted faults that run with them.

    With the stage and the time shown on stderr meanwhile.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    start = time.monotonic()
    if not console.is_terminal:
        console.print(STARTING, highlight=False)
    hidden = not console.is_terminal
    shown = Progress(*columns, console=console, transient=True, disable=hidden)
    with shown as progress, hired as crew:
        task = progress.add_task(STARTING, total=None)

        def chosen(scenarios: Scenarios, faults: Scenarios) -> None:
            beside.update(fault.name for fault in faults)
            progress.update(task, total=len(scenarios) * options.repeat + len(faults))
            if not console.is_terminal:
                seconds = time.monotonic() - start
                console.print(
                    f"ready after {seconds:.1f} s, running {len(scenarios)} scenarios"
                    f"{f' and {len(faults)} planted faults' if faults else ''}",
                    highlight=False,
                )

        def starting(scenario: Scenario) -> None:
            progress.update(task, description=scenario.name)

        for result in run_all(crew, patterns, options, chosen=chosen, starting=starting):
            progress.advance(task)
            yield result
