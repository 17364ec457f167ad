"""`freeonce results`: what a campaign's store holds."""

import csv
import fnmatch
import io
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from freeonce.campaign.compare import differences, findings, in_short
from freeonce.campaign.junit import junit_text
from freeonce.campaign.overview import page
from freeonce.campaign.sarif import sarif_text
from freeonce.campaign.store import Kept, Store, reading
from freeonce.campaign.summary import summary
from freeonce.cli.options import output_option
from freeonce.cli.output import STDOUT, Out, writable, write

FOLDER = click.Path(path_type=Path)
COLUMNS = (
    *("key", "kind", "name", "number", "verdict", "as_expected", "seconds", "worker", "kernel"),
    "current",
)
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
@click.option(
    "--all", "every", is_flag=True, help="Also those that are not of the last plan (current=no)."
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
    every: bool,
    against: Path | None,
    **outputs: Path | None,
) -> None:
    """List the results of a campaign, also while it runs, or hold them against another's.

    Only those of the plan that was given last, by the image and the harness of then.

    Exit status: 0; with --against 1 when something is new, gone or changed; 2 usage.
    """
    chosen = [_condition(text) for text in conditions]
    files = {name: file for name, file in outputs.items() if file is not None}
    _not_twice(list(files.values()), against)
    if every and (against or files.keys() - BESIDE):
        raise click.UsageError("--all is for the list, --csv and --json: others have a task once")
    with reading(store) as opened, opened.still():
        # Read anew for each: all of them at once may be more than memory holds.
        found = _Chosen(opened, store.name, chosen, every)
        for name, file in files.items():
            write(file, WRITERS[name](found))
        if against is not None:
            with reading(against) as other, other.still():
                status = _compared(_Chosen(other, against.name, chosen), found)
        elif not files:
            _printed(found)
        _tell_what_is_not_told(opened, every)
    if against is not None:
        context.exit(status)


BESIDE = {"csv_file", "json_file"}
"""In which several results of one task may stand."""


def _tell_what_is_not_told(store: Store, every: bool) -> None:
    """To nobody's surprise: what a list does not have looks as if it had never been."""
    before, awaited = store.of_before(), len(store.awaited())
    if before and not every:
        of = "of another plan, image or harness"
        click.echo(f"{before} results of before ({of}) are not told: --all", err=True)
    if awaited:
        click.echo(f"{awaited} of the plan have no result yet", err=True)


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


class _Chosen:
    """Results of a store that are asked for, each time from the beginning."""

    def __init__(
        self,
        store: Store,
        name: str,
        conditions: Sequence[tuple[str, str]],
        every: bool = False,
    ) -> None:
        self.store = store
        self.name = name
        self._conditions = conditions
        self._every = every

    def __iter__(self) -> Iterator[Kept]:
        for one in self.store.results(self._fits, current=not self._every):
            # Which kernel it was the document may have to tell.
            if self._holds("kernel", one.kernel):
                yield one

    def _fits(self, plain: Mapping[str, object]) -> bool:
        return all(self._holds(column, plain[column]) for column in plain)

    def _holds(self, column: str, value: object) -> bool:
        globs = (glob for name, glob in self._conditions if name == column)
        return all(fnmatch.fnmatch(_word(value), glob) for glob in globs)


def _word(value: object) -> str:
    """As `--where` and CSV have it: yes and no for what is true or not."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _json(found: _Chosen) -> str:
    rows = ",\n".join(json.dumps(asdict(one), indent=1) for one in found)
    return f"[\n{rows}\n]\n"


def _csv(found: _Chosen) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, "findings"])
    for one in found:
        words = [_word(getattr(one, column)) for column in COLUMNS]
        words.append("; ".join(sorted(findings(one.document))))
        writer.writerow([f"'{word}" if word.startswith(FORMULA) else word for word in words])
    return text.getvalue()


def _html(found: _Chosen) -> str:
    return page(
        [summary(one) for one in found],
        found.name,
        when=time.strftime("%Y-%m-%d %H:%M"),
        of_before=found.store.of_before(),
        awaited=len(found.store.awaited()),
    )


WRITERS: dict[str, Callable[[_Chosen], str]] = {
    "json_file": _json,
    "csv_file": _csv,
    "html_file": _html,
    "junit_file": junit_text,
    "sarif_file": sarif_text,
}
"""Of results a report, by the option that names its file."""


def _printed(found: Iterable[Kept]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("key", "kind", "name", "verdict", "expected", "seconds", "found"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left")
    for one in found:
        words = (one.key[:SHOWN_KEY], one.kind, one.label, one.verdict, _word(one.as_expected))
        table.add_row(*map(Text, words), f"{one.seconds:.1f}", Text(in_short(one.document)))
    Out(highlight=False).print(table)


def _compared(before: Iterable[Kept], after: Iterable[Kept]) -> int:
    found = list(differences(before, after))
    for one in found:
        said = " -> ".join(filter(None, (one.before, one.after)))
        click.echo(f"{one.what}: {one.name} ({one.number}): {said}")
    click.echo(f"{len(found)} differences")
    return 1 if found else 0
