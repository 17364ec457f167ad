"""`freeonce results`: what a campaign's store holds."""

import csv
import fnmatch
import io
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import fill, indent

import click

from freeonce.campaign.compare import differences, findings, in_short
from freeonce.campaign.junit import junit_parts
from freeonce.campaign.overview import page
from freeonce.campaign.sarif import sarif_text
from freeonce.campaign.store import Kept, Store, reading
from freeonce.campaign.summary import summary
from freeonce.cli.options import output_option
from freeonce.cli.output import STDOUT, Out, writable, write
from freeonce.evidence.text import one_line

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
    help=f"Only matching results; columns: {', '.join(COLUMNS)}.",
)
@click.option(
    "--all", "every", is_flag=True, help="Also results that are not of the last plan (current=no)."
)
@click.option("--against", type=FOLDER, help="Compare with an earlier store: what is new or gone.")
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
    """List the results of a campaign, also while it runs, or compare two campaigns.

    Only results of the last plan, with the image and the harness of that time, count.

    Exit status: 0; with --against 1 when something is new, gone or changed; 2 usage.
    """
    chosen = [_condition(text) for text in conditions]
    files = {name: file for name, file in outputs.items() if file is not None}
    _not_twice(list(files.values()), against)
    if every and (against or files.keys() - BESIDE):
        raise click.UsageError(
            "--all is for the list, --csv and --json: other reports have each task once"
        )
    with reading(store) as opened, opened.still():
        # Read anew for each: all of them at once may be more than memory holds.
        found = _Chosen(opened, store.name, chosen, every)
        for name, file in files.items():
            write(file, WRITERS[name](found))
        if against is not None:
            with reading(against) as other, other.still():
                status = _compared(other, found)
        elif not files:
            console = Out()
            write(STDOUT, _listed(found, console.width if console.is_terminal else None))
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
        click.echo(f"{before} older results ({of}) are left out; --all shows them", err=True)
    if awaited:
        click.echo(f"{awaited} tasks of the plan have no result yet", err=True)


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

    def asks(self, one: Kept) -> bool:
        """Whether a result, also of another store, fits all conditions."""
        return all(self._holds(column, getattr(one, column)) for column in COLUMNS)

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


def _json(found: _Chosen) -> Iterator[str]:
    before = "[\n"
    for one in found:
        yield before + json.dumps(vars(one))
        before = ",\n"
    yield "\n]\n" if before == ",\n" else "[]\n"


def _csv(found: _Chosen) -> Iterator[str]:
    yield _line([*COLUMNS, "findings"])
    for one in found:
        words = [_word(getattr(one, column)) for column in COLUMNS]
        words.append("; ".join(sorted(findings(one.document))))
        yield _line([f"'{word}" if word.startswith(FORMULA) else word for word in words])


def _line(words: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(words)
    return text.getvalue()


def _html(found: _Chosen) -> str:
    return page(
        [summary(one) for one in found],
        found.name,
        when=time.strftime("%Y-%m-%d %H:%M"),
        of_before=found.store.of_before(),
        awaited=len(found.store.awaited()),
    )


WRITERS: dict[str, Callable[[_Chosen], str | Iterable[str]]] = {
    "json_file": _json,
    "csv_file": _csv,
    "html_file": _html,
    "junit_file": junit_parts,
    "sarif_file": sarif_text,
}
"""Of results a report or its parts, by the option that names its file."""


HEADINGS = ("key", "kind", "name", "verdict", "expected", "seconds", "found")


def _listed(found: _Chosen, wide: int | None) -> Iterator[str]:
    """A line of each result, in columns. `wide`: the terminal; None for a file, or a pipe.

    What was found follows in its line if there is room, in a terminal else below.
    """
    widths = [len(heading) for heading in HEADINGS[:-1]]
    for one in found:
        widths = [max(width, len(cell)) for width, cell in zip(widths, _cells(one), strict=True)]
    if wide is not None:
        # A long name has its own line longer, and no other's.
        others = sum(widths) + len(GAP) * len(widths) - widths[NAME]
        widths[NAME] = min(widths[NAME], max(wide - others - ROOM, len("name")))
    yield _in_columns(HEADINGS[:-1], widths) + GAP + HEADINGS[-1] + "\n"
    for one in found:
        row, said = _in_columns(_cells(one), widths), one_line(in_short(one.document))
        if wide is None or not said or len(row + GAP + said) <= wide:
            yield (row + GAP + said).rstrip() + "\n"
        else:
            yield row + "\n"
            yield indent(fill(said, max(wide - len(UNDER), 20)), UNDER) + "\n"


GAP = "  "
UNDER = "    "
ROOM = 16
"""In a terminal's lines, for what was found."""
NAME, SECONDS = HEADINGS.index("name"), HEADINGS.index("seconds")


def _cells(one: Kept) -> tuple[str, ...]:
    """Of all columns but the last."""
    words = (one.key[:SHOWN_KEY], one.kind, one.label, one.verdict, _word(one.as_expected))
    return (*map(one_line, words), f"{one.seconds:.1f}")


def _in_columns(cells: Sequence[str], widths: Sequence[int]) -> str:
    placed = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    placed[SECONDS] = cells[SECONDS].rjust(widths[SECONDS])
    return GAP.join(placed)


def _compared(before: Store, after: _Chosen) -> int:
    """Tell it, a line of each task and of each finding; the exit status."""
    count, awaited = 0, after.store.awaited()

    def told() -> Iterator[str]:
        nonlocal count
        both = (before.results(current=True), after.store.results(current=True))
        for one in differences(*both, awaited, after.asks):
            count += 1
            verdicts = " -> ".join(dict.fromkeys(filter(None, (one.before, one.after))))
            yield f"{one.what}: {one_line(one.name)} ({one.number}): {verdicts}\n"
            yield from (f"{UNDER}new: {one_line(said)}\n" for said in one.new)
            yield from (f"{UNDER}gone: {one_line(said)}\n" for said in one.gone)
        more = f"; {len(awaited)} not yet run" if awaited else ""
        yield f"{count} differences{more}\n"

    write(STDOUT, told())
    return 1 if count else 0
