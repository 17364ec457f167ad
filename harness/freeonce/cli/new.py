"""`freeonce new`: a project of one's own that works at once."""

from pathlib import Path

import click

from freeonce.project.begin import PARTS, begin


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--rust", is_flag=True, help="With a scenario in Rust.")
@click.option("--c", "c", is_flag=True, help="With a scenario in C.")
@click.option("--module", is_flag=True, help="With a kernel module to audit.")
def new(folder: Path, rust: bool, c: bool, module: bool) -> None:
    """Begin a project in DIR. Without an option it has a scenario in each language and a module."""
    asked = {"rust": rust, "c": c, "module": module}
    parts = tuple(part for part in PARTS if asked[part]) or PARTS
    for file in begin(folder, parts):
        click.echo(file)
    click.echo(f"now: cd {folder} && freeonce setup")
