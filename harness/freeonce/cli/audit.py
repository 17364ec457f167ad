"""`freeonce audit`: the life of any kernel module in a guest, judged."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from freeonce.audit.attempts import Each, Where
from freeonce.audit.points import Point
from freeonce.cli.excusing import excuse_options
from freeonce.cli.failing import EachPoint, WherePoint, WithBareOption, limit_option
from freeonce.cli.loudness import loudness_options, stderr_console
from freeonce.cli.options import Seconds, accelerator_option, jobs_option, machine_options
from freeonce.cli.output import STDOUT, Out, written_out
from freeonce.cli.outputs import (
    UNWRITTEN,
    Files,
    Report,
    chosen,
    now,
    output_options,
    tell_reports,
    write_reports,
)
from freeonce.cli.pace import Pace
from freeonce.errors import HostError
from freeonce.given import given_text
from freeonce.project.machine import MOST_CPUS, Machine
from freeonce.project.setting import find_setting
from freeonce.report.excused import Excuses
from freeonce.report.expected import Known, parse_expected
from freeonce.report.failures import print_failures
from freeonce.report.life import Told, audit_document, places_of, print_excused, print_life, tell
from freeonce.run.audit import Audited, audited, guests_at_once
from freeonce.run.conclude import INCOMPLETE, exit_status
from freeonce.run.life import DEFAULT_LIMITS, Limits
from freeonce.run.prepare import Wish

SECONDS = Seconds(min=0.1)
FILE = click.Path(path_type=Path)


@click.command(cls=WithBareOption)
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option("--params", default="", help="Parameters of the targets, as for insmod: 'a=1 b=2'.")
@click.option(
    "--exercise",
    "exercises",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="A script or program, or a folder of them, to run when all targets are loaded.",
)
@click.option("-c", "commands", multiple=True, help="A command for the guest's shell, to run then.")
@click.option(
    "--file",
    "carried",
    multiple=True,
    metavar="HOST[:GUEST]",
    help="A file that exercises and commands need in the guest.",
)
@click.option(
    "--dep", "dependencies", multiple=True, help="A module to load first, which is not judged."
)
@click.option(
    "--no-unload", is_flag=True, help="Leave the targets loaded; then leaks are not known."
)
@click.option(
    "--keep-loaded",
    type=SECONDS,
    default=None,
    help="Seconds to wait between the exercises and the unload.",
)
@click.option("--debug-info", type=FILE, help="A file or folder with the targets' debug info.")
@click.option("--expect", type=FILE, help="Known findings, as TOML (docs/audit-a-module.md).")
@click.option(
    "--timeout",
    type=SECONDS,
    default=DEFAULT_LIMITS.exercise,
    show_default=True,
    help="Seconds that one exercise may take.",
)
@click.option(
    "--fail-each",
    type=EachPoint(),
    help="Then run one more life for each acquisition, in which it fails. =load, =exercise or "
    "=unload: only those of this stage; =+ or =+STAGE: each also with all after it failing.",
)
@click.option(
    "--fail-point",
    type=WherePoint(),
    help="Make only acquisition N fail, with + also all after it.",
)
@limit_option
@click.option(
    "--fail-cpus",
    type=click.IntRange(min=1, max=MOST_CPUS),
    help="CPUs of the guests in which acquisitions fail. Default: 1, the fastest without KVM.",
)
@jobs_option
@excuse_options
@accelerator_option
@machine_options
@loudness_options
@output_options
@click.pass_context
def audit(
    context: click.Context,
    /,
    *,
    targets: tuple[str, ...],
    params: str,
    exercises: tuple[Path, ...],
    commands: tuple[str, ...],
    carried: tuple[str, ...],
    dependencies: tuple[str, ...],
    no_unload: bool,
    keep_loaded: float | None,
    debug_info: Path | None,
    expect: Path | None,
    timeout: float,
    fail_each: Each | None,
    fail_point: Where | None,
    fail_limit: int | None,
    fail_cpus: int | None,
    jobs: int | None,
    excuses: Excuses,
    accel: str,
    machine: Machine,
    quiet: bool,
    verbose: bool,
    **outputs: Path | None,
) -> None:
    """Load modules, exercise and unload them, and judge all that they acquired.

    TARGET: a .ko file (also .xz, .zst, .gz), the name of a module of the guest's kernel package,
    or a folder with a Kbuild file. Several targets are judged together.

    Exit status: 0 every verdict is as expected, 1 some is not, 2 wrong usage, 3 this host cannot
    run it, 4 some verdict is incomplete.
    """
    each = _each(fail_each, fail_point, fail_limit, fail_cpus)
    files = chosen(outputs, failures=each is not None)
    if each is not None and no_unload:
        raise click.UsageError("lives with failures must end with an unload; leave out --no-unload")
    known = _known(expect)
    wish = Wish(
        targets=targets,
        parameters=params,
        dependencies=dependencies,
        exercises=exercises,
        commands=commands,
        carried=carried,
        keep=keep_loaded or 0.0,
        unload=not no_unload,
        limits=Limits(exercise=timeout),
        debug_info=debug_info,
    )
    start = time.monotonic()
    # With --json - nothing else goes to stdout.
    console = Out(stderr=files.get("json") == STDOUT, highlight=False)
    with stderr_console(quiet, verbose) as errors:
        setting = find_setting(accel, svm=False, machine=machine)
        kept = _Kept(files, known, excuses, start)
        try:
            with errors.status("reading the modules") as status:
                done = audited(
                    wish,
                    setting,
                    each,
                    status.update,
                    partial(_warn, errors),
                    guests=guests_at_once(setting, jobs),
                    so_far=kept.so_far,
                )
        except BaseException:
            # Ctrl-C too: what was led before is not lost with the rest.
            kept.broken_off()
            raise
        report, told = kept.report(done)
        whole = _printed(console, report, told, quiet, verbose)
        whole &= tell_reports(files, report, errors)
    unled = told.points is not None and told.points.unled
    verdict = exit_status(report.with_points) or (INCOMPLETE if unled else 0)
    context.exit(verdict or (0 if whole else UNWRITTEN))


class _Kept:
    """The reports of an audit, written also while it goes on."""

    def __init__(
        self, files: Files, known: Sequence[Known], excuses: Excuses, start: float
    ) -> None:
        self._files = {name: file for name, file in files.items() if file != STDOUT}
        self._known = known
        self._excuses = excuses
        self._start = start
        self._pace = Pace()
        self._last: Callable[[], Report] | None = None

    def so_far(self, audited_so_far: Callable[[], Audited], how_far: str) -> None:
        """What there is already."""
        self._last = lambda: self.report(audited_so_far(), how_far)[0]
        self._pace.keep(self._files, self._last)

    def broken_off(self) -> None:
        """Write what there was."""
        if self._last is not None:
            for _, problem in write_reports(self._files, self._last()):
                if problem is not None:
                    click.echo(f"freeonce: {problem}", err=True)

    def report(self, done: Audited, broken_off: str = "") -> tuple[Report, Told]:
        """What files tell, and what is printed."""
        told = tell(done.life, done.traces, self._known, done.points, self._excuses)
        host, places = done.setting.document(), places_of(done.traces)
        seconds = time.monotonic() - self._start
        report = Report(
            host=host,
            results=[told.life.result],
            beside=frozenset(),
            faults=(),
            points=[told.points] if told.points else None,
            places=places,
            when=now(),
            broken_off=broken_off,
            document=audit_document(host, [told], seconds, places, broken_off),
        )
        return report, told


def _warn(errors: Console, text: str) -> None:
    errors.print(text, highlight=False, markup=False, soft_wrap=True)


def _each(
    each: Each | None, only: Where | None, limit: int | None, cpus: int | None
) -> Each | None:
    """The points that these options ask for. Raises click.UsageError."""
    if each is not None and only is not None:
        raise click.UsageError("--fail-point is one point of --fail-each; give one of them")
    if limit is not None and each is None:
        raise click.UsageError("--fail-limit is for --fail-each")
    if cpus is not None and each is None and only is None:
        raise click.UsageError("--fail-cpus is for --fail-each and --fail-point")
    if only is not None:
        each = Each(only=only)
    return replace(each, limit=limit, cpus=cpus or Each.cpus) if each is not None else None


def _printed(console: Console, report: Report, told: Told, quiet: bool, verbose: bool) -> bool:
    """Print it; whether it could be. What fails here hides neither verdict nor files."""
    try:
        with written_out():
            print_life(console, report.host, told, quiet, verbose, places=report.places)
            if told.points is not None and not (quiet and told.bears_failures):
                console.print()
                print_failures(console, [told.points], places=report.places, again=_again)
            print_excused(console, told)
    except HostError as error:
        click.echo(f"freeonce: {error}", err=True)
        return False
    return True


def _again(point: Point) -> str:
    """What repeats a point, behind the rest of the command line that led here."""
    return f"--fail-point {point.name} instead of --fail-each"


def _known(expect: Path | None) -> tuple[Known, ...]:
    return parse_expected(given_text(expect), str(expect)) if expect else ()
