"""`freeonce setup`: makes what runs and audits need, and says what the system lacks."""

import click

from freeonce.project.making import KERNEL, make_image, need_packages


@click.command()
@click.option(
    "--kernel",
    default=KERNEL,
    show_default=True,
    help="cloud, host, a linux-image package, or the path of a built tree.",
)
@click.option("--install", is_flag=True, help="Install system packages that are missing, by apt.")
@click.option("--no-packages", is_flag=True, help="Do not look for system packages.")
@click.option("--outer", is_flag=True, help="The outer machine of `lane` instead.")
def setup(kernel: str, install: bool, no_packages: bool, outer: bool) -> None:
    """Make what is missing: the image of a guest.

    System packages that are missing are listed with the command that installs them.
    """
    if not no_packages:
        need_packages(kernel, install=install)
    made = make_image(kernel, "outer" if outer else "image")
    click.echo(f"ready: {made}", err=True)
