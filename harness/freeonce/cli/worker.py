"""`freeonce worker`: this machine runs tasks of campaigns."""

import asyncio
import os
from pathlib import Path

import click

from freeonce.campaign.images import SHARED
from freeonce.campaign.loading import loaded
from freeonce.campaign.probe import probe
from freeonce.cli.options import accelerator_option
from freeonce.errors import HostError
from freeonce.machine.argv import MIB
from freeonce.project.host import QEMU_VARIABLE
from freeonce.project.image import PATH_VARIABLE
from freeonce.project.machine import Machine
from freeonce.run.crew import default_jobs


@click.command()
@click.argument("scheduler", metavar="tcp://HOST:PORT")
@click.option(
    "--slots",
    type=click.IntRange(min=1),
    help="Number of guests at a time. Default: by cores and free memory.",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A folder with images that hosts share. Without it, images are sent.",
)
@accelerator_option
def worker(*, scheduler: str, slots: int | None, images: Path | None, accel: str) -> None:
    """Run tasks of a Dask scheduler, one process for each guest, until the scheduler is gone.

    First a guest of each kind is run, with VMRUN where the host promises SVM; the result tells
    the scheduler what this machine can do. Each task says what is to run its guest. Anyone who
    can reach the scheduler can make this machine run code: see docs/campaigns.md.
    """
    serving = loaded("freeonce.campaign.serving")
    if images is not None:
        os.environ[SHARED] = str(images.resolve())
    for name in (QEMU_VARIABLE, PATH_VARIABLE):
        # Tasks are done where their campaign stands.
        if "/" in (said := os.environ.get(name, "")):
            os.environ[name] = str(Path(said).absolute())
    found = probe(accel)
    for words in found.words():
        click.echo(words, err=True)
    if not found.accelerators:
        raise HostError("no-guests", "this machine cannot run guests; see above")
    count = slots or default_jobs(Machine.memory * MIB)
    click.echo(f"{count} slots", err=True)
    asyncio.run(serving.serve(scheduler, count, found.resources()))
