"""`freeonce run`: scenarios in a real guest, judged."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from freeonce.audit.attempts import Where
from freeonce.cli.completion import scenario_names
from freeonce.cli.failing import WherePoint, limit_option
from freeonce.cli.gathered import Gathered
from freeonce.cli.last import Last
from freeonce.cli.loudness import loudness_options, stderr_console
from freeonce.cli.options import (
    Seconds,
    accelerator_option,
    jobs_option,
    machine_options,
    shared_option,
)
from freeonce.cli.output import STDOUT, Out
from freeonce.cli.outputs import PICTURES, chosen, empty, in_folder, output_options
from freeonce.cli.progress import with_failures, with_progress
from freeonce.cli.telling import Teller
from freeonce.guest import COMMAND_SECONDS
from freeonce.project.machine import Machine
from freeonce.project.setting import find_setting
from freeonce.run.failures import EACH
from freeonce.run.hire import crew_of
from freeonce.run.task import Options


@click.command()
@click.argument("patterns", nargs=-1, metavar="[NAME-OR-GLOB]...", shell_complete=scenario_names)
@accelerator_option
@machine_options
@click.option(
    "--timeout",
    type=Seconds(min=0.1),
    default=COMMAND_SECONDS,
    show_default=True,
    help="Seconds that one scenario may take, and up to 20 more for the kernel to rest after it.",
)
@click.option(
    "--act",
    type=click.Choice(["record", "real"]),
    default="record",
    show_default=True,
    help="real: faulty releases of pool memory are executed, not only recorded.",
)
@click.option(
    "--repeat", type=click.IntRange(min=1), default=1, help="Run each scenario this many times."
)
@click.option(
    "--fail-each",
    is_flag=True,
    help="Make each allocation of a scenario fail, one after the other.",
)
@click.option(
    "--fail-at",
    "--fail-point",
    "fail_at",
    type=WherePoint(),
    help="Make only allocation N fail, with + also all after it: repeats a point of --fail-each.",
)
@limit_option
@shared_option
@jobs_option
@click.option(
    "--pristine",
    is_flag=True,
    help="Give each scenario a guest of its own, also those that may share one.",
)
@click.option("--no-faults", is_flag=True, help="Leave the planted faults out.")
@click.option(
    "--pattern",
    "sections",
    multiple=True,
    metavar="GLOB",
    help="Run the scenarios of matching sections, as 'freeonce list' names them.",
)
@click.option(
    "--rerun-failed",
    is_flag=True,
    help="Run what the last runs left open: not as expected, or not run.",
)
@click.option(
    "--maxfail",
    type=click.IntRange(min=1),
    metavar="N",
    help="Stop after N scenarios that are not as expected.",
)
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a report of every format to this folder, updated as results come.",
)
@loudness_options
@output_options
@click.pass_context
def run(
    context: click.Context,
    /,
    *,
    patterns: tuple[str, ...],
    accel: str,
    machine: Machine,
    timeout: float,
    act: str,
    repeat: int,
    fail_each: bool,
    fail_at: Where | None,
    fail_limit: int | None,
    shared: bool,
    jobs: int | None,
    pristine: bool,
    no_faults: bool,
    sections: tuple[str, ...],
    rerun_failed: bool,
    maxfail: int | None,
    folder: Path | None,
    quiet: bool,
    verbose: bool,
    **outputs: Path | None,
) -> None:
    """Run scenarios and judge what they did to their allocations. Without a name: all.

    Exit status: 0 every verdict is as expected, 1 some is not, 2 wrong usage, 3 this host cannot
    run it, 4 some verdict is incomplete.
    """
    failing = fail_each or fail_at is not None
    contradictions = {
        "allocations that fail go neither with --repeat nor --act real": failing
        and (repeat > 1 or act == "real"),
        "--fail-at is one point of --fail-each; give one of them": fail_each
        and fail_at is not None,
        "--fail-limit is for --fail-each": fail_limit is not None and not fail_each,
        "--jobs is for clones; with --shared-guest there is one guest": shared and jobs is not None,
        "--pristine is for clones; with --shared-guest there is one guest": shared and pristine,
        "--rerun-failed goes neither with names nor with failures": rerun_failed
        and (patterns or sections or failing),
    }
    for message in (message for message, meant in contradictions.items() if meant):
        raise click.UsageError(message)
    files = chosen(outputs, failing)
    last = Last(rerun_failed, failing)
    if folder is not None:
        files = {**in_folder(folder, failing), **files}
    # With --json - nothing else goes to stdout.
    console = Out(stderr=files.get("json") == STDOUT, highlight=False)
    command = "act=real" if act == "real" else ""
    options = Options(command, timeout, repeat, not no_faults, sections, last.again, pristine)
    each = replace(EACH, only=fail_at, limit=fail_limit)
    gathered = Gathered(pictures=not PICTURES.isdisjoint(files), failing=failing)
    if folder is not None:
        gathered.when_planned = partial(empty, folder)
    with stderr_console(quiet, verbose) as errors:
        setting = find_setting(accel, machine=machine)
        crew = crew_of(setting, shared, jobs)
        teller = Teller(setting, files, console, errors, quiet, current=folder is not None)
        work: Generator[object] = (
            with_failures(crew, patterns, options, gathered, errors, each=each)
            if failing
            else with_progress(crew, patterns, options, gathered, errors)
        )
        try:
            # All guests are gone before anything is told.
            with closing(work), last.kept(gathered):
                for _ in work:
                    teller.as_it_goes(gathered)
                    last.as_it_goes(gathered)
                    if maxfail is not None and len(gathered.wrong) >= maxfail:
                        break
        except BaseException:
            # Ctrl-C too: what was done before is not lost with the rest.
            if gathered.results:
                teller.tell(gathered, gathered.how_far)
            raise
        why = f"{gathered.how_far}, as --maxfail {maxfail} asks" if gathered.not_run else ""
        status = teller.tell(gathered, why)
    context.exit(status)
