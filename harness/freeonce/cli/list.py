"""`freeonce list`: the scenarios, as the guest declares them."""

import json
from itertools import groupby

import click
from rich.text import Text

from freeonce.cli.options import accelerator_option
from freeonce.cli.output import Out
from freeonce.project.setting import find_setting
from freeonce.report.document import scenario_document
from freeonce.run.hire import clones

SCHEMA = "freeonce/list/1"


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@accelerator_option
def list_scenarios(as_json: bool, accel: str) -> None:
    """List the scenarios that the guest has, with what each teaches."""
    setting = find_setting(accel)
    errors = Out(stderr=True)
    with errors.status("making a guest ready to ask it"), clones(setting) as crew:
        scenarios = crew.scenarios()
    if as_json:
        documents = [scenario_document(scenario) for scenario in scenarios]
        click.echo(json.dumps({"schema": SCHEMA, "scenarios": documents}, indent=1))
        return
    console = Out(highlight=False)
    for section, group in groupby(scenarios, key=lambda scenario: scenario.section):
        console.print(Text(f"\n{section}", style="bold"))
        for scenario in group:
            needs = f" (needs {scenario.needs})" if scenario.needs else ""
            rules = ", ".join(f"{one.rule} ({one.kind})" for one in scenario.expected) or "clean"
            console.print(Text.assemble("  ", (scenario.name, "cyan"), f"{needs}: {rules}"))
            console.print(Text(f"      {scenario.lesson}", style="dim"))
