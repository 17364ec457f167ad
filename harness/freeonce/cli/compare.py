"""`freeonce compare`: the same scenarios on several images, and where their verdicts differ."""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from freeonce.audit.result import Result
from freeonce.cli.options import accelerator_option
from freeonce.project.setting import setting_of
from freeonce.run.campaign import run_all
from freeonce.run.conclude import exit_status
from freeonce.run.hire import clones
from freeonce.run.task import Options

Signature = tuple[str, ...]


def signature(result: Result) -> Signature:
    """What a verdict says, without addresses and times."""
    judgement = result.judgement
    return (
        str(judgement.verdict),
        *sorted(f"{one.rule} {one.kind} {one.at} {one.what}" for one in judgement.findings),
        f"{judgement.allocations} allocations, {judgement.releases} releases",
    )


def differing(runs: Sequence[Sequence[Result]]) -> dict[str, list[Signature]]:
    """Signatures by scenario, one a run, of the scenarios that do not come to the same in all."""
    found: dict[str, list[Signature]] = {}
    for results in zip(*runs, strict=True):
        signatures = [signature(result) for result in results]
        if len(set(signatures)) > 1:
            found[results[0].scenario.name] = signatures
    return found


@click.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@accelerator_option
@click.pass_context
def compare(context: click.Context, manifests: tuple[Path, ...], accel: str) -> None:
    """Run all scenarios on each image and show whether any verdict changes."""
    console = Console(highlight=False)
    errors = Console(stderr=True)
    names = [manifest.parent.name for manifest in manifests]
    table = Table("image", "scenarios", "as expected", box=None, pad_edge=False)
    runs = []
    for name, manifest in zip(names, manifests, strict=True):
        with errors.status(f"running {name}"), clones(setting_of(manifest, accel)) as crew:
            results = list(run_all(crew, (), Options()))
        runs.append(results)
        as_expected = sum(result.as_expected for result in results)
        table.add_row(name, str(len(results)), str(as_expected))
    console.print(table)
    for scenario, signatures in differing(runs).items():
        console.print(Text(scenario, style="bold yellow"))
        for name, one in zip(names, signatures, strict=True):
            console.print(f"  {name}: {'; '.join(one)}")
    count = len(differing(runs))
    same = len(runs[0]) - count
    console.print(f"{same} scenarios come to the same in all {len(runs)} images, {count} do not")
    status = exit_status([result for results in runs for result in results])
    context.exit(status or (1 if count else 0))
