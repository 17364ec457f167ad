"""`freeonce compare`: the same scenarios on several images, and where their verdicts differ."""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from freeonce.audit.result import Result
from freeonce.cli.options import accelerator_option
from freeonce.cli.output import Out
from freeonce.project.setting import setting_of
from freeonce.report.lines import put
from freeonce.run.campaign import run_all
from freeonce.run.conclude import exit_status
from freeonce.run.hire import clones
from freeonce.run.task import Options

Signature = tuple[str, ...]
ABSENT: Signature = ("absent",)
"""Of a scenario that an image does not have."""


def signature(result: Result) -> Signature:
    """What a verdict says, without addresses and times."""
    judgement = result.judgement
    return (
        str(judgement.verdict),
        *sorted(f"{one.rule} {one.kind} {one.at} {one.what}" for one in judgement.findings),
        f"{judgement.allocations} allocations, {judgement.releases} releases",
    )


def compared(runs: Sequence[Sequence[Result]]) -> dict[str, list[Signature]]:
    """Signatures by scenario, one a run, whatever images have which scenarios."""
    told = [{result.scenario.name: signature(result) for result in results} for results in runs]
    names = dict.fromkeys(name for one in told for name in one)
    return {name: [one.get(name, ABSENT) for one in told] for name in names}


def differing(runs: Sequence[Sequence[Result]]) -> dict[str, list[Signature]]:
    """The same of the scenarios that do not come to the same in all runs."""
    return {name: told for name, told in compared(runs).items() if len(set(told)) > 1}


@click.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@accelerator_option
@click.pass_context
def compare(context: click.Context, manifests: tuple[Path, ...], accel: str) -> None:
    """Run all scenarios on each image and show whether any verdict changes."""
    errors = Out(stderr=True)
    names = [manifest.parent.name for manifest in manifests]
    runs = []
    for name, manifest in zip(names, manifests, strict=True):
        with errors.status(Text(f"running {name}")), clones(setting_of(manifest, accel)) as crew:
            results = [one.without_pictures() for one in run_all(crew, (), Options())]
        runs.append(results)
    print_comparison(Out(highlight=False), names, runs)
    status = exit_status([result for results in runs for result in results])
    context.exit(status or (1 if differing(runs) else 0))


def print_comparison(
    console: Console, names: Sequence[str], runs: Sequence[Sequence[Result]]
) -> None:
    """A row an image, then what each said of a scenario that does not come to the same in all."""
    table = Table(box=None, pad_edge=False)
    for column in ("image", "scenarios", "as expected"):
        table.add_column(column, no_wrap=True)
    for name, results in zip(names, runs, strict=True):
        as_expected = sum(result.as_expected for result in results)
        table.add_row(Text(name), str(len(results)), str(as_expected))
    put(console, table)
    unlike = differing(runs)
    for scenario, signatures in unlike.items():
        console.print(Text(scenario, style="bold yellow"))
        for name, one in zip(names, signatures, strict=True):
            console.print(Text(f"  {name}: {'; '.join(one)}"))
    same = len(compared(runs)) - len(unlike)
    console.print(
        f"{same} scenarios have the same result in all {len(runs)} images, {len(unlike)} do not"
    )
