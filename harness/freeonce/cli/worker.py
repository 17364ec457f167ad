"""`freeonce worker`: this machine runs tasks of campaigns."""

import asyncio

import click

from freeonce.campaign.loading import loaded
from freeonce.cli.options import accelerator_option
from freeonce.project.setting import find_setting
from freeonce.run.crew import default_jobs


@click.command()
@click.argument("scheduler", metavar="tcp://HOST:PORT")
@click.option(
    "--slots", type=click.IntRange(min=1), help="Guests at a time. Default: by the machine."
)
@accelerator_option
def worker(*, scheduler: str, slots: int | None, accel: str) -> None:
    """Run tasks for a scheduler of Dask, a process a guest, until it is gone or we are ended.

    What this machine can do is looked at first; --accel is for what the scheduler is told of it,
    each task says for itself what runs its guest. Who may reach the scheduler may have this
    machine run code: see docs/campaigns.md.
    """
    serving = loaded("freeonce.campaign.serving")
    setting = find_setting(accel)
    count = slots or default_jobs(setting.config().memory)
    click.echo(f"{count} slots, {setting.accelerator.name}: {setting.accelerator.reason}", err=True)
    asyncio.run(serving.serve(scheduler, count, setting))
