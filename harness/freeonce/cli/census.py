"""`freeonce census`: the life of every module of the guest's kernel package, each kept."""

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from freeonce.campaign.bases import base_of
from freeonce.campaign.census import lead, lived
from freeonce.campaign.store import Store, writing
from freeonce.campaign.task import CENSUS_LIMIT, Task, census_tasks, matching
from freeonce.cli.campaign import watched
from freeonce.cli.excusing import excuse_options
from freeonce.cli.loudness import stderr_console
from freeonce.cli.options import accelerator_option, output_option
from freeonce.cli.output import STDOUT, writable, write
from freeonce.cli.outputs import now
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
from freeonce.run.conclude import INCOMPLETE


@click.command()
@click.argument("names", nargs=-1, metavar="[GLOB]...")
@click.option(
    "--store",
    "folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder for results; the same command continues a census.",
)
@click.option(
    "--fail-each", is_flag=True, help="Then also make each acquisition of each load fail."
)
@click.option(
    "--fail-limit",
    type=click.IntRange(min=1),
    default=CENSUS_LIMIT,
    show_default=True,
    help="Make at most this many acquisitions of one stack fail.",
)
@click.option(
    "--again", is_flag=True, help="Run these modules again although the store has results of them."
)
@excuse_options
@accelerator_option
@output_option("--json", "Write everything as JSON; - for stdout.")
@output_option("--html", "Write one HTML page.")
@click.pass_context
def census(
    context: click.Context,
    /,
    *,
    names: tuple[str, ...],
    folder: Path,
    fail_each: bool,
    fail_limit: int,
    again: bool,
    excuses: Excuses,
    accel: str,
    json_file: Path | None,
    html_file: Path | None,
) -> None:
    """Load and unload every module of the guest's kernel package, and judge each.

    GLOB: only modules whose names match.

    Exit status: 0 nothing was found (a module that does not load is no finding), 1 something
    was, 2 wrong usage, 3 this host cannot run it, 4 something is incomplete.
    """
    for file in (json_file, html_file):
        if file is not None and file != STDOUT:
            writable(file)
    if html_file == STDOUT:
        raise click.UsageError("only --json may go to standard output")
    with stderr_console(False, False) as errors, writing(folder) as store:
        setting = find_setting(accel, svm=False)
        base = base_of(setting, accel)
        modules = matching(names, base.modules())
        plain = list(census_tasks(base, modules))
        # Of another image they are of before, whether they are asked for again or not.
        store.unplan_others(census_tasks(base, modules, fail_limit))
        done = set() if again else store.keys()
        failing: list[Task] = []
        unkept: _Documents = {}
        try:
            _lead(setting, plain, store, errors, unkept, done=done)
            if fail_each:
                documents = _documents(store, plain, unkept)
                bearing = [one.name for one in plain if lived(documents[one.key])]
                failing += census_tasks(base, bearing, fail_limit)
                _lead(setting, failing, store, errors, unkept, done=done)
        finally:
            # Ctrl-C too: what was led before is told.
            documents = _documents(store, [*plain, *failing], unkept)
            found = _modules(documents, plain, failing, excuses)
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
    if any(one.incomplete for one in found) or len(found) < len(plain):
        context.exit(INCOMPLETE)
    context.exit(int(any(one.wrong for one in found)))


_Documents = dict[str, Mapping[str, Any]]
"""Of lives, by the task's key."""


def _lead(
    setting: Setting,
    chosen: Sequence[Task],
    store: Store,
    errors: Console,
    unkept: _Documents,
    *,
    done: Set[str],
) -> None:
    """Lead what is not done, and keep it as it comes. `unkept`: gets what the host lacked."""
    store.plan_also(chosen)
    missing = [task for task in chosen if task.key not in done]
    if not missing:
        return
    with ready(setting) as (roomy, source), watched(errors, len(missing)) as watch:
        for task, came in lead(roomy, source, missing):
            # As what a worker gives has it.
            outcome = replace(came, document=came.document | {"host": roomy.document()})
            if outcome.by_host:
                unkept[task.key] = outcome.document
            else:
                store.add(task, outcome)
            watch.done(task, outcome)


def _documents(store: Store, chosen: Sequence[Task], unkept: _Documents) -> _Documents:
    keys = {task.key for task in chosen}
    # With --again there may be an old one of what could not be led.
    return {one.key: one.document for one in store.results() if one.key in keys} | unkept


def _modules(
    documents: _Documents, plain: Sequence[Task], failing: Sequence[Task], excuses: Excuses
) -> list[Module]:
    """What reports tell, by name."""
    with_failures = {task.name: task.key for task in failing}
    return [
        module(
            documents[task.key],
            documents.get(with_failures.get(task.name, "")),
            excuses,
            asked=task.name in with_failures,
        )
        for task in sorted(plain, key=lambda one: one.name)
        if task.key in documents
    ]
