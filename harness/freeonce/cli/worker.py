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
    "--slots", type=click.IntRange(min=1), help="Guests at a time. Default: by the machine."
)
@click.option(
    "--images",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A folder that hosts share, with images in it. Without: they are sent.",
)
@accelerator_option
def worker(*, scheduler: str, slots: int | None, images: Path | None, accel: str) -> None:
    """Run tasks for a scheduler of Dask, a process a guest, until it is gone or we are ended.

    At first a guest of each kind is run, with VMRUN where that is promised; what came of it is
    what the scheduler is told. Each task says for itself what runs its guest. Who may reach the
    scheduler may have this machine run code: see docs/campaigns.md.
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
        raise HostError("no-guests", "this machine runs no guests; see above")
    count = slots or default_jobs(Machine.memory * MIB)
    click.echo(f"{count} slots", err=True)
    asyncio.run(serving.serve(scheduler, count, found.resources()))
