"""`freeonce setup`: makes what runs and audits need, and says what the system lacks."""

from pathlib import Path

import click

from freeonce.project.chosen import chosen_image, crate_of, project
from freeonce.project.file import kernel_from
from freeonce.project.making import KERNEL, make_image, need_packages


@click.command()
@click.option(
    "--kernel",
    help="cloud, host, a linux-image package, or the path of a built tree. "
    "Default: the project's, else cloud.",
)
@click.option("--install", is_flag=True, help="Install missing system packages by apt.")
@click.option("--no-packages", is_flag=True, help="Do not check system packages.")
@click.option(
    "--outer", is_flag=True, help="Make the image of the outer machine for `lane` instead."
)
def setup(kernel: str | None, install: bool, no_packages: bool, outer: bool) -> None:
    """Make what is missing: a guest's image, and in a project the image with its scenarios.

    Missing system packages are listed, with the command that installs them.
    """
    ours = project()
    kernels = (kernel_from(kernel, Path.cwd()),) if kernel else ours.kernels if ours else (KERNEL,)
    for one in kernels:
        if not no_packages:
            need_packages(one, install=install, crate=bool(ours and ours.crate))
        made = make_image(one, "outer" if outer else "image")
        click.echo(f"ready: {made}", err=True)
    if ours and not outer:
        if crate := crate_of(ours):
            crate.fetch()
        click.echo(f"ready: {chosen_image(scenarios=True)}", err=True)
