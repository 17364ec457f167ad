"""`freeonce census`: the life of every module of the guest's kernel package, each kept."""

import fnmatch
import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from freeonce.campaign.census import FAILURES, LIFE, lead, lived, tasks
from freeonce.campaign.identity import file_digest, harness
from freeonce.campaign.store import Kept, Store, writing
from freeonce.campaign.task import Base, Task
from freeonce.cli.campaign import watched
from freeonce.cli.excusing import excuse_options
from freeonce.cli.loudness import stderr_console
from freeonce.cli.options import accelerator_option, output_option
from freeonce.cli.output import STDOUT, writable, write
from freeonce.cli.outputs import now
from freeonce.errors import UsageError
from freeonce.project.setting import Setting, find_setting
from freeonce.report.census import (
    Module,
    census_document,
    census_page,
    every_name,
    module,
    summary,
)
from freeonce.report.excused import Excuses
from freeonce.run.audit import ready
from freeonce.subject.package import Package

LIMIT = 3


@click.command()
@click.argument("names", nargs=-1, metavar="[GLOB]...")
@click.option(
    "--store",
    "folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where results are kept; the same command goes on.",
)
@click.option("--fail-each", is_flag=True, help="Then each acquisition of each load made to fail.")
@click.option(
    "--fail-limit",
    type=click.IntRange(min=1),
    default=LIMIT,
    show_default=True,
    help="Of acquisitions by one stack make at most so many fail.",
)
@excuse_options
@accelerator_option
@output_option("--json", "Write all of it as JSON; - for stdout.")
@output_option("--html", "Write it as one page.")
@click.pass_context
def census(
    context: click.Context,
    /,
    *,
    names: tuple[str, ...],
    folder: Path,
    fail_each: bool,
    fail_limit: int,
    excuses: Excuses,
    accel: str,
    json_file: Path | None,
    html_file: Path | None,
) -> None:
    """Load and unload every module of the guest's kernel package, and judge each.

    GLOB: only modules with such names. Exit status: 0 all that loads is clean, 1 something was
    found, 2 usage, 3 this host cannot.
    """
    for file in (json_file, html_file):
        if file is not None and file != STDOUT:
            writable(file)
    if html_file == STDOUT:
        raise click.UsageError("only --json may go to standard output")
    with stderr_console(False, False) as errors, writing(folder) as store:
        setting = find_setting(accel, svm=False)
        package = Package(setting.image.modules)
        base = _base(setting, accel)
        plain = list(tasks(package, base, _chosen(package, names)))
        failing: list[Task] = []
        try:
            _lead(setting, plain, store, errors)
            if fail_each:
                failing += tasks(package, base, _bearing(store, plain), fail_limit)
                _lead(setting, failing, store, errors)
        finally:
            # Ctrl-C too: what was led before is told.
            found = _modules(store, plain, failing, excuses)
            unused = excuses.unused(every_name(found))
            host = setting.document()
            if json_file is not None:
                document = census_document(host, found, len(plain), unused)
                write(json_file, json.dumps(document, indent=1) + "\n")
            if html_file is not None:
                write(html_file, census_page(host, found, len(plain), now()))
    click.echo(summary(found, len(plain)), err=json_file == STDOUT)
    for one in unused:
        click.echo(f"suppression not used: {one}", err=True)
    context.exit(int(any(one.wrong for one in found)))


def _chosen(package: Package, patterns: Sequence[str]) -> list[str]:
    """Raises UsageError for a pattern that no module has."""
    every = sorted(package.files)
    for pattern in patterns:
        if not fnmatch.filter(every, pattern):
            raise UsageError(f"the guest's kernel package has no module {pattern!r}")
    return [
        name
        for name in every
        if not patterns or any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
    ]


def _base(setting: Setting, accel: str) -> Base:
    return Base(
        image=file_digest(setting.image.manifest),
        harness=harness(),
        accelerator=accel,
        table=tuple,
        is_path=lambda _: False,
        digest=lambda path: file_digest(Path(path)),
    )


def _lead(setting: Setting, chosen: Sequence[Task], store: Store, errors: Console) -> None:
    """Lead what the store has not, and keep it as it comes."""
    there = store.keys()
    missing = [task for task in chosen if task.key not in there]
    if not missing:
        return
    with ready(setting) as (roomy, source), watched(errors, len(missing)) as watch:
        for task, outcome in lead(roomy, source, missing):
            store.add(task, outcome)
            watch.done(task, outcome)


def _bearing(store: Store, plain: Sequence[Task]) -> list[str]:
    """The modules against whose lives failures may be held, and that acquire something."""
    kept = _kept(store, plain)
    return sorted(one.name for one in kept if lived(one) and one.document["acquired"])


def _kept(store: Store, chosen: Sequence[Task]) -> list[Kept]:
    keys = {task.key for task in chosen}
    return [one for one in store.results() if one.key in keys]


def _modules(
    store: Store, plain: Sequence[Task], failing: Sequence[Task], excuses: Excuses
) -> list[Module]:
    """What reports tell, by name."""
    by_kind: dict[str, dict[str, Kept]] = {LIFE: {}, FAILURES: {}}
    for one in _kept(store, [*plain, *failing]):
        by_kind[one.kind][one.name] = one
    failures = by_kind[FAILURES]
    return [
        module(one.document, failures[name].document if name in failures else None, excuses)
        for name, one in sorted(by_kind[LIFE].items())
    ]
