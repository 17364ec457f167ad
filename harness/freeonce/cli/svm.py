"""`freeonce svm`: which #VMEXITs and which rules of VMRUN this accelerator has."""

import json
from pathlib import Path

import click

from freeonce.cli.gathered import Gathered
from freeonce.cli.options import accelerator_option, output_option
from freeonce.cli.output import STDOUT, Out, writable, write
from freeonce.cli.progress import with_progress
from freeonce.project.setting import find_setting
from freeonce.run.conclude import exit_status
from freeonce.run.hire import crew_of
from freeonce.run.task import Options
from freeonce.survey.kinds import SCENARIOS, survey
from freeonce.survey.tables import print_survey, survey_document


@click.command()
@accelerator_option
@output_option("--json", "Write JSON; - for stdout.")
@click.pass_context
def svm(context: click.Context, *, accel: str, json_file: Path | None) -> None:
    """Run the scenarios svm/* and list the kinds of #VMEXIT that this CPU has.

    Exit status: as for run.
    """
    if json_file not in (None, STDOUT):
        writable(json_file)
    setting = find_setting(accel)
    host = setting.document()
    results = list(with_progress(crew_of(setting), (SCENARIOS,), Options(faults=False), Gathered()))
    found = survey(results)
    print_survey(Out(stderr=json_file == STDOUT, highlight=False), host, found)
    if json_file is not None:
        write(json_file, json.dumps(survey_document(host, found, results), indent=1) + "\n")
    context.exit(exit_status(results))
