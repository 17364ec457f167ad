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


def output_option(name: str, text: str) -> Callable[[Command], Command]:
    """An option that names a file to write, passed on as `NAME_file`."""
    parameter = f"{name.removeprefix('--')}_file"
    return click.option(name, parameter, type=click.Path(path_type=Path), help=text)
