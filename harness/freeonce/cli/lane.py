"""`freeonce lane`: the scenarios under KVM, here or in an outer machine, and under TCG."""

import json
import time
from pathlib import Path

import click
from rich.text import Text

from freeonce.audit.faults import planted
from freeonce.cli.gathered import Gathered
from freeonce.cli.options import Seconds, output_option
from freeonce.cli.output import STDOUT, Out, writable, write
from freeonce.cli.progress import with_progress
from freeonce.project.accelerator import Accelerator, choose_accelerator
from freeonce.project.host import find_qemu
from freeonce.project.image import image_path, load_outer, outer_path
from freeonce.project.setting import find_setting
from freeonce.report.document import run_document
from freeonce.run.hire import crew_of
from freeonce.run.task import Options
from freeonce.survey.lane.differences import compare, outcomes
from freeonce.survey.lane.inside import run_inside, under_kvm
from freeonce.survey.lane.summary import lane_document, print_comparison

LANE_SECONDS = 900.0


def where_kvm_runs(chosen: Accelerator) -> str:
    """`here` when this host's own KVM runs SVM guests, else `outer`."""
    return "here" if chosen.name == "kvm" else "outer"


@click.command()
@click.argument("patterns", nargs=-1, metavar="[NAME-OR-GLOB]...")
@click.option(
    "--where",
    is_flag=True,
    help="Only say where KVM would run, here or in an outer machine, and why.",
)
@click.option(
    "--timeout",
    type=Seconds(min=1),
    default=LANE_SECONDS,
    show_default=True,
    help="Seconds that the outer machine may take.",
)
@output_option("--json", "Write JSON; - for stdout.")
@click.pass_context
def lane(
    context: click.Context,
    *,
    patterns: tuple[str, ...],
    where: bool,
    timeout: float,
    json_file: Path | None,
) -> None:
    """Run scenarios under KVM and under TCG, and say where the results differ.

    Where this host's KVM has no SVM for guests, an emulated host that has it runs them.

    Exit status: 0 no unexplained difference, 1 there is one, 2 wrong usage, 3 this host cannot
    run it, 4 there is no report of a run under KVM, 5 the outer machine was lost.
    """
    if json_file not in (None, STDOUT):
        writable(json_file)
    chosen = choose_accelerator("auto", find_qemu())
    place = where_kvm_runs(chosen)
    if where:
        click.echo(f"{place}: {chosen.reason}")
        return
    told = _Told()
    told(f"under TCG, on image {image_path()}")
    tcg = _run_here("tcg", patterns)
    told(f"under KVM, {place}: {chosen.reason}")
    kvm = _run_here("auto", patterns) if place == "here" else _run_outer(patterns, timeout, told)
    comparison = compare(outcomes(tcg), outcomes(kvm), place=place)
    told("compared")
    print_comparison(Out(stderr=json_file == STDOUT, highlight=False), comparison)
    document = lane_document(place, tcg, kvm, comparison)
    if not tcg["ok"]:
        told("the run under TCG is not as expected itself; see 'freeonce run --accel tcg'")
    if json_file is not None:
        write(json_file, json.dumps(document, indent=1) + "\n")
    context.exit(0 if document["ok"] else 1)


class _Told:
    """Says on stderr what happens now, and how long it took to get there."""

    def __init__(self) -> None:
        self._console = Out(stderr=True, highlight=False, soft_wrap=True)
        self._start = time.monotonic()

    def __call__(self, text: str) -> None:
        self._console.print(Text(f"{time.monotonic() - self._start:6.1f} s  {text}"))


def _run_here(accel: str, patterns: tuple[str, ...]) -> dict[str, object]:
    setting = find_setting(accel)
    options = Options(faults=not patterns)
    results = list(with_progress(crew_of(setting, shared=True), patterns, options, Gathered()))
    document = run_document(setting.document(), results, planted(results))
    return document if accel == "tcg" else under_kvm(document)


def _run_outer(patterns: tuple[str, ...], seconds: float, told: _Told) -> dict[str, object]:
    outer = load_outer(outer_path())
    return run_inside(outer, image_path(), find_qemu(), patterns, seconds=seconds, told=told)
