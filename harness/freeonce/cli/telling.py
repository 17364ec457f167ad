"""What `run` came to: printed at its end, and written, also while it goes on."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.text import Text

from freeonce.cli.gathered import Gathered
from freeonce.cli.output import STDOUT, written_out
from freeonce.cli.outputs import Files, Report, write_reports
from freeonce.errors import HostError
from freeonce.project.setting import Setting
from freeonce.report.failures import print_failures
from freeonce.report.places import NOWHERE, Places, sites
from freeonce.report.terminal import print_problems, print_report
from freeonce.run.conclude import exit_status
from freeonce.subject.symbols import places as places_of

UNWRITTEN = 3
"""Exit status where every verdict was as expected and a report could not be written."""
EVERY_SECONDS = 30.0
SHARE = 20
"""Writing while the run goes on takes no more than one of so many parts of its time."""


class Teller:
    """Tells what is gathered. `console`: for the report; `errors`: for how it goes on."""

    def __init__(
        self, setting: Setting, files: Files, console: Console, errors: Console, quiet: bool
    ) -> None:
        self._setting = setting
        self._files = files
        self._console = console
        self._errors = errors
        self._quiet = quiet
        self._next = time.monotonic() + EVERY_SECONDS

    def as_it_goes(self, gathered: Gathered) -> None:
        """Write the files now and then, so that who is killed leaves what was done before."""
        start = time.monotonic()
        files = {name: file for name, file in self._files.items() if file != STDOUT}
        if start < self._next or not files:
            return
        places, _ = self._places(gathered)
        # What cannot be written is told at the end.
        for _ in write_reports(files, self._report(gathered, places, gathered.how_far)):
            pass
        now = time.monotonic()
        self._next = now + max(EVERY_SECONDS, SHARE * (now - start))

    def tell(self, gathered: Gathered, broken_off: str = "") -> int:
        """Print and write it all; the exit status. No failure to do so hides anything else."""
        places, unknown = self._places(gathered)
        if unknown:
            click.echo(f"freeonce: {unknown}", err=True)
        report = self._report(gathered, places, broken_off)
        failed = False
        try:
            with written_out():
                self._print(report)
        except HostError as error:
            failed = True
            click.echo(f"freeonce: {error}", err=True)
        for problem in self._write(report):
            failed = True
            click.echo(f"freeonce: {problem}", err=True)
        return exit_status(report.with_points) or (UNWRITTEN if failed else 0)

    def _write(self, report: Report) -> Iterator[str]:
        """Write the files. What went wrong with each."""
        if not self._files:
            return
        with self._errors.status("writing the reports"):
            for file, problem in write_reports(self._files, report):
                if problem is not None:
                    yield problem
                elif file != STDOUT:
                    self._errors.print(Text(f"wrote {file}"), soft_wrap=True)

    def _places(self, gathered: Gathered) -> tuple[Places, str | None]:
        """The lines of source, or why there are none: a report without them is true as well."""
        of_points = [result for one in gathered.points for result in one.results]
        failed = {point.site for one in gathered.points for point in one.points}
        wanted = sites([*gathered.results, *of_points]) | failed
        try:
            return places_of(self._setting.image.specimens, wanted), None
        except HostError as error:
            return NOWHERE, f"no lines of source: {error}"

    def _report(self, gathered: Gathered, places: Places, broken_off: str) -> Report:
        return Report(
            host=self._setting.document(),
            results=gathered.results,
            beside=frozenset(gathered.beside),
            faults=gathered.faults,
            points=gathered.points if gathered.failing else None,
            places=places,
            when=datetime.now(UTC).isoformat(" ", "seconds"),
            broken_off=broken_off,
        )

    def _print(self, report: Report) -> None:
        console, places = self._console, report.places
        if report.points is not None:
            self._print_points(report)
        elif self._quiet or report.broken_off:
            print_problems(console, report.results, report.faults, places)
        else:
            print_report(console, report.host, report.asked_for, report.faults, places)
        if report.broken_off:
            console.print(Text(report.broken_off, style="bold yellow"))

    def _print_points(self, report: Report) -> None:
        wrong = any(not one.as_expected for one in report.with_points)
        if self._quiet and not wrong:
            return
        print_failures(self._console, report.points or (), report.faults, report.places)
        faults = [one for one in report.results if one.scenario.name in report.beside]
        print_problems(self._console, faults, report.faults, report.places)
