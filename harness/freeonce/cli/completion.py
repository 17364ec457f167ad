"""What the shell's Tab completes: names of scenarios and of running guests. Never boots a guest."""

import click
from click.shell_completion import CompletionItem

from freeonce.byhand import guests
from freeonce.errors import FreeonceError
from freeonce.evidence.scenarios import parse_scenarios
from freeonce.machine.template import known_table
from freeonce.project.chosen import chosen_image


def scenario_names(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """As a template's guest told them; nothing where there is no template yet."""
    try:
        scenarios = parse_scenarios(known_table(chosen_image(scenarios=False)))
    except FreeonceError:
        return []
    return [
        CompletionItem(one.name, help=one.lesson) for one in scenarios if one.name.startswith(begun)
    ]


def guest_names(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Of the guests that somebody works with by hand."""
    return [CompletionItem(one.name) for one in guests.running() if one.name.startswith(begun)]
