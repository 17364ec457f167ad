"""`freeonce explain RULE`: what a rule means, who else sees it, and how to mend it."""

import difflib

import click
from click.shell_completion import CompletionItem
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from freeonce.cli.output import Out
from freeonce.errors import UsageError
from freeonce.report.explanations import EXPLANATIONS, Elsewhere, Explanation


def find(rule: str) -> Explanation:
    """The explanation of a rule. Raises UsageError, with the nearest names, for an unknown one."""
    name = rule.strip().lower().replace("_", "-").replace(" ", "-")
    if name in EXPLANATIONS:
        return EXPLANATIONS[name]
    near = difflib.get_close_matches(name, EXPLANATIONS, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(EXPLANATIONS)}"
    raise UsageError(f"no rule {rule!r}; {hint}")


def _names(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    return [
        CompletionItem(name, help=one.meaning)
        for name, one in EXPLANATIONS.items()
        if name.startswith(begun)
    ]


def _part(title: str, *body: RenderableType) -> RenderableType:
    return Group(Text(), Text(title, "bold"), Padding(Group(*body), (0, 0, 0, 2)))


def _other(one: Elsewhere) -> Text:
    text = Text.assemble((one.detector, "bold"), ": ", one.message or Text("nothing", "yellow"))
    if one.remark:
        text.append(f"; {one.remark}")
    return text.append(f"\n  {one.page}", "dim")


def explained(one: Explanation) -> RenderableType:
    """The whole explanation, for a terminal of any width."""
    return Group(
        Text(one.rule, "bold red"),
        Padding(Text(one.meaning), (0, 0, 0, 2)),
        _part("Example", Text(one.example, "cyan")),
        _part("Known by", Text(one.witness)),
        _part("What other tools report", *(_other(other) for other in one.elsewhere)),
        _part("How to fix it", Text(one.mend)),
        _part("See it", Text(f"freeonce run 'fault/{one.rule}/*'")),
        _part("All rules", Text("docs/rules.md")),
    )


@click.command()
@click.argument("rule", required=False, shell_complete=_names)
def explain(rule: str | None) -> None:
    """Explain a rule: its meaning, who else sees it, how to fix it. Without RULE: list all."""
    console = Out(highlight=False)
    if rule is not None:
        console.print(explained(find(rule)))
        return
    for name, one in EXPLANATIONS.items():
        console.print(Text.assemble((name, "bold red"), f": {one.meaning}"))
