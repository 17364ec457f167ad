"""What `run` came to: printed at its end, and written, also while it goes on."""

import click
from rich.console import Console
from rich.text import Text

from freeonce.cli.gathered import Gathered
from freeonce.cli.output import written_out
from freeonce.cli.outputs import UNWRITTEN, Files, Report, now, tell_reports
from freeonce.cli.pace import EVERY_SECONDS, Pace
from freeonce.errors import HostError
from freeonce.project.setting import Setting
from freeonce.report.failures import print_failures
from freeonce.report.places import NOWHERE, Everywhere
from freeonce.report.terminal import print_problems, print_report
from freeonce.run.conclude import exit_status
from freeonce.subject.symbols import places as places_of

CURRENT_SECONDS = 1.0


class Teller:
    """Tells what is gathered. `console`: for the report; `errors`: for how it goes on.

    `current`: the files are to be as of now from the first result on, not of half a minute ago.
    """

    def __init__(
        self,
        setting: Setting,
        files: Files,
        console: Console,
        errors: Console,
        quiet: bool,
        *,
        current: bool = False,
    ) -> None:
        self._setting = setting
        self._files = files
        self._console = console
        self._errors = errors
        self._quiet = quiet
        self._pace = Pace(0.0, CURRENT_SECONDS) if current else Pace(EVERY_SECONDS)

    def as_it_goes(self, gathered: Gathered) -> None:
        """Write the files now and then, so that who is killed leaves what was done before."""

        def report() -> Report:
            places, _ = self._places(gathered)
            return self._report(gathered, places, gathered.how_far)

        self._pace.keep(self._files, report)

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
        if self._files:
            failed |= not tell_reports(self._files, report, self._errors)
        return exit_status(report.with_points) or (UNWRITTEN if failed else 0)

    def _places(self, gathered: Gathered) -> tuple[Everywhere, str | None]:
        """The lines of source, or why there are none: a report without them is true as well."""
        of_points = [result for one in gathered.points for result in one.results]
        runs = [result.evidence.told for result in (*gathered.results, *of_points)]
        try:
            found = places_of(self._setting.image.specimens, runs)
            return Everywhere(zip(runs, found, strict=True)), None
        except HostError as error:
            return NOWHERE, f"no source lines: {error}"

    def _report(self, gathered: Gathered, places: Everywhere, broken_off: str) -> Report:
        return Report(
            host=self._setting.document(),
            results=gathered.results,
            beside=frozenset(gathered.beside),
            faults=gathered.faults,
            points=gathered.points if gathered.failing else None,
            places=places,
            when=now(),
            broken_off=broken_off,
            not_run=gathered.not_run if broken_off else (),
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
        if report.not_run:
            names = ", ".join(dict.fromkeys(report.not_run))
            console.print(Text(f"not run: {names}"), soft_wrap=not console.is_terminal)

    def _print_points(self, report: Report) -> None:
        wrong = any(not one.as_expected for one in report.with_points)
        if self._quiet and not wrong:
            return
        print_failures(self._console, report.points or (), report.faults, report.places)
        faults = [one for one in report.results if one.scenario.name in report.beside]
        print_problems(self._console, faults, report.faults, report.places)
