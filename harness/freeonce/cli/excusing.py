"""Options for findings that do not count, for `audit` and `census`."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from freeonce.errors import UsageError
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
        excuses = Excuses(
            tuple(
                one for file in suppress_files for one in parse_suppressions(_text(file), str(file))
            ),
            parse_baseline(_text(baseline), str(baseline)) if baseline else frozenset(),
        )
        return command(*args, excuses=excuses, **rest)

    return cast(Command, combined)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}: {error}") from error
