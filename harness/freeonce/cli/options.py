"""Options that several verbs have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

accelerator_option = click.option(
    "--accel",
    type=click.Choice(["auto", "kvm", "tcg"]),
    default="auto",
    show_default=True,
    help="What runs the guest; auto takes KVM where it really runs SVM guests.",
)


shared_option = click.option(
    "--shared-guest", "shared", is_flag=True, help="One guest for all scenarios, no clones."
)

jobs_option = click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=1),
    help="Clones at a time. Default: by cores and free memory.",
)


def output_option(name: str, text: str) -> Callable[[Command], Command]:
    """An option that names a file to write, passed on as `NAME_file`."""
    parameter = f"{name.removeprefix('--')}_file"
    return click.option(name, parameter, type=click.Path(path_type=Path), help=text)
