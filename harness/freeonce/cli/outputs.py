"""The files that `run` writes, an option each."""

import json
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.text import Text

from freeonce.audit.faults import Planted
from freeonce.audit.points import Points
from freeonce.audit.result import Result
from freeonce.cli.options import output_option
from freeonce.cli.output import STDOUT, writable, write
from freeonce.errors import HostError
from freeonce.report.document import run_document
from freeonce.report.failures import failures_document
from freeonce.report.places import Everywhere
from freeonce.report.words import unfinished

PICTURES = {"html", "trace", "folded", "folded_count"}
"""What draws evidence."""

UNWRITTEN = 3
"""The exit status when all is as expected, and a report could not be written."""

Command = TypeVar("Command", bound=Callable[..., Any])
Files = Mapping[str, Path]


@dataclass(frozen=True)
class Report:
    """All that a file may tell. `results`: planted faults too, those `beside` by name.

    `points`: of `--fail-each`, None without it; the plain runs are among the results.
    `when`: it ended. `broken_off`: how far a run came that was; empty for a whole one; `not_run`:
    names of the rest. `document`: for JSON, where it is not a run's.
    """

    host: Mapping[str, str]
    results: Sequence[Result]
    beside: frozenset[str]
    faults: Sequence[Planted]
    points: Sequence[Points] | None
    places: Everywhere
    when: str
    broken_off: str = ""
    not_run: Sequence[str] = ()
    document: Mapping[str, object] | None = None

    @property
    def unfinished(self) -> str:
        """How far it came, with the first names of the rest; empty for a whole one."""
        return unfinished(self.broken_off, self.not_run)

    @property
    def asked_for(self) -> list[Result]:
        """The results without the planted faults that ran beside them."""
        return [one for one in self.results if one.scenario.name not in self.beside]

    @property
    def with_points(self) -> list[Result]:
        """The results, and after each plain run those of its failure points."""
        of_points = [one.result for points in self.points or () for one in points.points]
        return [*self.results, *of_points]


def _json(report: Report) -> str:
    if report.document is not None:
        document = dict(report.document)
    elif report.points is None:
        document = run_document(
            report.host,
            report.asked_for,
            report.faults,
            report.places,
            report.broken_off,
            not_run=report.not_run,
        )
    else:
        document = failures_document(
            report.host,
            report.points,
            report.faults,
            report.places,
            report.broken_off,
            not_run=report.not_run,
        )
    return json.dumps(document, indent=1) + "\n"


# What each of these loads takes time, and only they need it.
def _junit(report: Report) -> str:
    from freeonce.report.junit import junit_text  # noqa: PLC0415

    return junit_text(report.with_points, report.host, report.places, report.unfinished)


def _sarif(report: Report) -> str:
    from freeonce.report.sarif import sarif_text  # noqa: PLC0415

    return sarif_text(report.with_points, report.places, report.unfinished)


def _html(report: Report) -> str:
    from freeonce.report.html import html_text  # noqa: PLC0415

    return html_text(
        report.host,
        report.results,
        faults=report.faults,
        points=[point for one in report.points or () for point in one.points],
        places=report.places,
        when=report.when,
        broken_off=report.unfinished,
    )


def _trace(report: Report) -> bytes:
    try:
        from freeonce.report.trace import trace_bytes  # noqa: PLC0415
    except ImportError as error:
        message = f"--trace needs another package: pip install 'freeonce[trace]' ({error})"
        raise HostError("no-perfetto", message) from error

    return trace_bytes(report.results, report.places, report.unfinished)


def _folded(report: Report, *, count: bool = False) -> str:
    from freeonce.report.sites import folded  # noqa: PLC0415

    return folded(report.results, report.places, report.broken_off, count=count)


WRITERS: dict[str, tuple[str, Callable[[Report], str | bytes]]] = {
    "json": ("Write JSON; - for stdout.", _json),
    "junit": ("Write JUnit XML, for GitLab and Jenkins.", _junit),
    "html": ("Write one HTML page: verdicts, lifetimes, memory, evidence.", _html),
    "sarif": ("Write SARIF for code scanning, with file and line.", _sarif),
    "trace": ("Write a trace of lifetimes and exits for ui.perfetto.dev.", _trace),
    "folded": ("Write the bytes that each stack acquired, for flame graphs.", _folded),
    "folded_count": (
        "Write how often each stack acquired something, for flame graphs.",
        partial(_folded, count=True),
    ),
}


IN_FOLDER = {
    "json": "report.json",
    "junit": "report.xml",
    "html": "report.html",
    "sarif": "report.sarif",
    "trace": "report.pftrace",
    "folded": "acquired.folded",
    "folded_count": "acquired-count.folded",
}
"""What `--out` calls each file; ci/lane calls them so too."""
OF_PLAIN_RUNS = ("trace", "folded", "folded_count")


def in_folder(folder: Path, failures: bool) -> Files:
    """A file for each format that can be written here. `failures`: as for `chosen`.

    Raises click.UsageError when the folder cannot have them.
    """
    left_out = {*OF_PLAIN_RUNS} if failures else set()
    if find_spec("perfetto") is None:
        left_out.add("trace")
    files = {name: folder / file for name, file in IN_FOLDER.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"--out {folder}: {error.filename}: {error.strerror}") from error
    for file in files.values():
        writable(file)
    return {name: file for name, file in files.items() if name not in left_out}


def empty(folder: Path) -> None:
    """Remove what an earlier run left there: nobody takes it for that of the one that begins.

    Raises HostError `cannot-write`.
    """
    for name in IN_FOLDER.values():
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            message = f"cannot remove {folder / name}: {error.strerror}"
            raise HostError("cannot-write", message) from error


def output_options(command: Command) -> Command:
    """An option for each file, passed on as `NAME_file`."""
    for name, (text, _) in reversed(WRITERS.items()):
        command = output_option(f"--{name.replace('_', '-')}", text)(command)
    return command


def chosen(options: Mapping[str, Path | None], failures: bool) -> Files:
    """The files asked for, by the writer's name. `failures`: allocations are made to fail.

    Raises click.UsageError, before the run, for what could not be written after it.
    """
    files = {name.removesuffix("_file"): file for name, file in options.items() if file}
    for name, file in files.items():
        if file != STDOUT:
            writable(file)
        elif name != "json":
            raise click.UsageError("only --json may go to standard output")
    for name in OF_PLAIN_RUNS:
        if failures and name in files:
            option = f"--{name.replace('_', '-')}"
            message = f"{option} would tell of the plain runs alone, without any failure"
            raise click.UsageError(message)
    return files


def write_reports(files: Files, report: Report) -> Iterator[tuple[Path, str | None]]:
    """Write them: each file, with what went wrong with it. None of them hides another."""
    for name, file in files.items():
        _, writer = WRITERS[name]
        try:
            write(file, writer(report))
        except HostError as error:
            yield file, str(error)
        except Exception as error:
            traceback.print_exc()
            yield file, f"cannot make {file}, by an error of freeonce itself: {error!r}"
        else:
            yield file, None


def tell_reports(files: Files, report: Report, errors: Console) -> bool:
    """Write them and say which; whether all of them could be written."""
    whole = True
    with errors.status("writing the reports"):
        for file, problem in write_reports(files, report):
            whole &= problem is None
            if problem is not None:
                click.echo(f"freeonce: {problem}", err=True)
            elif file != STDOUT:
                errors.print(Text(f"wrote {file}"), soft_wrap=True)
    return whole


def now() -> str:
    """When a report is written."""
    return datetime.now(UTC).isoformat(" ", "seconds")
