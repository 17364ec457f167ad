"""Options for findings that do not count, for `audit` and `census`."""

from collections.abc import Callable
from functools import wraps
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from freeonce.given import given_text
from freeonce.report.excused import Excuses, parse_baseline, parse_suppressions

Command = TypeVar("Command", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)


def excuse_options(command: Command) -> Command:
    """`--suppress` and `--baseline`, passed on as one `excuses`."""

    @click.option(
        "--suppress",
        "suppress_files",
        multiple=True,
        type=FILE,
        help="Findings that do not count, each with its reason, as TOML (docs/suppressions.md).",
    )
    @click.option(
        "--baseline",
        type=FILE,
        help="An earlier report by --json: only new findings count.",
    )
    @wraps(command)
    def combined(
        *args: Any, suppress_files: tuple[Path, ...], baseline: Path | None, **rest: Any
    ) -> Any:
        parsed = (parse_suppressions(given_text(file), str(file)) for file in suppress_files)
        excuses = Excuses(
            tuple(chain.from_iterable(parsed)),
            parse_baseline(given_text(baseline), str(baseline)) if baseline else frozenset(),
        )
        return command(*args, excuses=excuses, **rest)

    return cast(Command, combined)
