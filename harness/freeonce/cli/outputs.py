"""The files that `run` writes, an option each."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from freeonce.audit.faults import Planted
from freeonce.audit.points import Point
from freeonce.audit.result import Result
from freeonce.cli.options import output_option
from freeonce.cli.output import STDOUT, writable, write
from freeonce.report.places import Places

FAIL_EACH = {"json", "html"}
"""What tells of failure points; the others would only tell of the plain runs."""

Command = TypeVar("Command", bound=Callable[..., Any])
Files = Mapping[str, Path]


@dataclass(frozen=True)
class Report:
    """All that a file may tell. `document`: for JSON. `results`: planted faults too.

    `points`: of `--fail-each`. `when`: it ended.
    """

    host: Mapping[str, str]
    document: Mapping[str, object]
    results: Sequence[Result]
    faults: Sequence[Planted]
    points: Sequence[Point]
    places: Places
    when: str


def _json(report: Report) -> str:
    return json.dumps(report.document, indent=1) + "\n"


# What each of these loads takes time, and only they need it.
def _junit(report: Report) -> str:
    from freeonce.report.junit import junit_text  # noqa: PLC0415

    return junit_text(report.results, report.host, report.places)


def _sarif(report: Report) -> str:
    from freeonce.report.sarif import sarif_text  # noqa: PLC0415

    return sarif_text(report.results, report.places)


def _html(report: Report) -> str:
    from freeonce.report.html import html_text  # noqa: PLC0415

    return html_text(
        report.host,
        report.results,
        faults=report.faults,
        points=report.points,
        places=report.places,
        when=report.when,
    )


def _trace(report: Report) -> bytes:
    from freeonce.report.trace import trace_bytes  # noqa: PLC0415

    return trace_bytes(report.results, report.places)


WRITERS: dict[str, tuple[str, Callable[[Report], str | bytes]]] = {
    "json": ("Write JSON; - for stdout.", _json),
    "junit": ("Write JUnit XML, for GitLab and Jenkins.", _junit),
    "html": ("Write one HTML page: verdicts, lifetimes, memory, evidence.", _html),
    "sarif": ("Write SARIF for code scanning, with file and line.", _sarif),
    "trace": ("Write a trace of lifetimes and exits for ui.perfetto.dev.", _trace),
}


def output_options(command: Command) -> Command:
    """An option for each file, passed on as `NAME_file`."""
    for name, (text, _) in reversed(WRITERS.items()):
        command = output_option(f"--{name}", text)(command)
    return command


def chosen(options: Mapping[str, Path | None], fail_each: bool) -> Files:
    """The files asked for, by the writer's name.

    Raises click.UsageError, before the run, for what could not be written after it.
    """
    files = {name.removesuffix("_file"): file for name, file in options.items() if file}
    for name, file in files.items():
        if file != STDOUT:
            writable(file)
        elif name != "json":
            raise click.UsageError("only --json may go to standard output")
        if fail_each and name not in FAIL_EACH:
            raise click.UsageError(f"--fail-each goes with --json and --html, not with --{name}")
    return files


def write_reports(files: Files, report: Report) -> None:
    """Write them. Raises HostError `cannot-write`."""
    for name, file in files.items():
        _, writer = WRITERS[name]
        write(file, writer(report))
