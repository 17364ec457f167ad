"""`freeonce results`: what a campaign's store holds."""

import csv
import fnmatch
import io
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from freeonce.campaign.compare import differences, findings, in_short
from freeonce.campaign.junit import junit_text
from freeonce.campaign.overview import page, told
from freeonce.campaign.sarif import sarif_text
from freeonce.campaign.store import Kept, reading
from freeonce.cli.options import output_option
from freeonce.cli.output import STDOUT, Out, writable, write

FOLDER = click.Path(path_type=Path)
COLUMNS = ("key", "kind", "name", "number", "verdict", "as_expected", "seconds", "worker", "kernel")
SHOWN_KEY = 12
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet computes."""


@click.command()
@click.argument("store", type=FOLDER)
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="COLUMN=GLOB",
    help=f"Only these; columns: {', '.join(COLUMNS)}.",
)
@click.option("--against", type=FOLDER, help="A store of before: what is new, gone or changed.")
@output_option("--json", "Write all of each result as JSON; - for stdout.")
@output_option("--csv", "Write a line for each result; - for stdout.")
@output_option("--html", "Write one HTML page: a heat map, what is not as expected, and when.")
@output_option("--junit", "Write a test case for each result; - for stdout.")
@output_option("--sarif", "Write each finding once as SARIF; - for stdout.")
@click.pass_context
def results(
    context: click.Context,
    /,
    *,
    store: Path,
    conditions: tuple[str, ...],
    against: Path | None,
    **outputs: Path | None,
) -> None:
    """List the results of a campaign, also while it runs, or hold them against another's.

    Exit status: 0; with --against 1 when something is new, gone or changed; 2 usage.
    """
    chosen = [_condition(text) for text in conditions]
    files = {name: file for name, file in outputs.items() if file is not None}
    _not_twice(list(files.values()), against)
    # Read anew for each: all of them at once may be more than memory holds.
    found = partial(_chosen, store, chosen)
    for name, file in files.items():
        write(file, WRITERS[name](found(), store.name))
    if against is not None:
        context.exit(_compared(_chosen(against, chosen), found()))
    if not files:
        _printed(found())


def _not_twice(files: Sequence[Path], against: Path | None) -> None:
    """Refuse what cannot be written, or what would go where something else goes."""
    if against is not None and STDOUT in files:
        raise click.UsageError("with --against the differences go to standard output")
    if files.count(STDOUT) > 1:
        raise click.UsageError("only one report may go to standard output")
    for file in files:
        if file != STDOUT:
            writable(file)


def _condition(text: str) -> tuple[str, str]:
    column, equals, pattern = text.partition("=")
    if not equals or column not in COLUMNS:
        raise click.UsageError(
            f"--where {text!r}: write COLUMN=GLOB, a column of {', '.join(COLUMNS)}"
        )
    return column, pattern


def _chosen(store: Path, conditions: Iterable[tuple[str, str]]) -> Iterator[Kept]:
    with reading(store) as opened:
        for one in opened.results():
            if all(fnmatch.fnmatch(_word(one, column), glob) for column, glob in conditions):
                yield one


def _word(kept: Kept, column: str) -> str:
    """As `--where` and CSV have it: yes and no for what is true or not."""
    value = getattr(kept, column)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _json(found: Iterable[Kept], _: str) -> str:
    rows = ",\n".join(json.dumps(asdict(one), indent=1) for one in found)
    return f"[\n{rows}\n]\n"


def _csv(found: Iterable[Kept], _: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, "findings"])
    for one in found:
        words = [_word(one, column) for column in COLUMNS]
        words.append("; ".join(sorted(findings(one.document))))
        writer.writerow([f"'{word}" if word.startswith(FORMULA) else word for word in words])
    return text.getvalue()


def _html(found: Iterable[Kept], name: str) -> str:
    return page([told(one) for one in found], name, when=time.strftime("%Y-%m-%d %H:%M"))


WRITERS: dict[str, Callable[[Iterable[Kept], str], str]] = {
    "json_file": _json,
    "csv_file": _csv,
    "html_file": _html,
    "junit_file": lambda found, _: junit_text(found),
    "sarif_file": lambda found, _: sarif_text(found),
}
"""Of results and the store's name a report, by the option that names its file."""


def _printed(found: Iterable[Kept]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("key", "kind", "name", "verdict", "expected", "seconds", "found"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left")
    for one in found:
        words = (one.key[:SHOWN_KEY], one.kind, one.label, one.verdict, _word(one, "as_expected"))
        table.add_row(*map(Text, words), f"{one.seconds:.1f}", Text(in_short(one.document)))
    Out(highlight=False).print(table)


def _compared(before: Iterable[Kept], after: Iterable[Kept]) -> int:
    found = list(differences(before, after))
    for one in found:
        said = " -> ".join(filter(None, (one.before, one.after)))
        click.echo(f"{one.what}: {one.name} ({one.number}): {said}")
    click.echo(f"{len(found)} differences")
    return 1 if found else 0
