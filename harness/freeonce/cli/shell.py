"""`freeonce shell`: a guest, and a prompt with our verbs and QMP's commands on it."""

import click

from freeonce.byhand.guests import by_hand
from freeonce.byhand.prompt import Prompt
from freeonce.byhand.session import Session
from freeonce.cli.completion import scenario_names
from freeonce.cli.options import accelerator_option, machine_options
from freeonce.cli.output import Out
from freeonce.project.machine import Machine
from freeonce.project.setting import find_setting
from freeonce.run.hire import template_for_any

GREETING = "A guest is ready. `help` shows the verbs, Tab completes, `exit` leaves."


@click.command()
@click.argument("scenario", required=False, shell_complete=scenario_names)
@accelerator_option
@machine_options
def shell(scenario: str | None, accel: str, machine: Machine) -> None:
    """Work with a guest by hand; SCENARIO is run first. The guest ends when you leave."""
    setting = find_setting(accel, machine=machine)
    with template_for_any(setting) as source, Session(by_hand(setting, source, "shell")) as session:
        if scenario is not None:
            session.find(scenario)
        prompt = Prompt(session)
        errors = Out(stderr=True, highlight=False)
        errors.print(GREETING)
        if scenario is not None:
            prompt.execute(f"run {scenario}")
        prompt.loop()
