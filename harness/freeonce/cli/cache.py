"""`freeonce cache`: what is kept of what was built, and its end."""

import click
from rich.filesize import decimal

from freeonce.project.cache import Entry, clear, entries


@click.group(invoke_without_command=True)
@click.pass_context
def cache(context: click.Context) -> None:
    """Show the images that are kept: where, how large, and whether of this version."""
    if context.invoked_subcommand is not None:
        return
    kept = list(entries())
    for one in kept:
        old = "" if one.current else "  not of this freeonce's sources"
        click.echo(f"{decimal(one.size):>9}  {one.folder}{old}")
    click.echo(f"{decimal(sum(one.size for one in kept)):>9}  in all")


@cache.command("clear")
@click.option("--old", is_flag=True, help="Only images of other versions of freeonce.")
def clear_images(old: bool) -> None:
    """Remove all images. `freeonce setup` makes what is needed again."""
    for one in entries():
        if not (old and one.current):
            _clear(one)


def _clear(entry: Entry) -> None:
    clear(entry)
    click.echo(f"removed {entry.folder}")
