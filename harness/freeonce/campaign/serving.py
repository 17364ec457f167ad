"""This machine's workers for a scheduler: a process for each guest, each under a nanny."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import dask
from distributed import Nanny

from freeonce.campaign.cluster import SETTINGS, SLOT, UNREACHABLE, unreachable
from freeonce.project.setting import Setting

CONNECT_SECONDS = 60


def resources(setting: Setting) -> dict[str, float]:
    """What a worker tells of this machine: a slot, the accelerator, SVM by it, the kernel."""
    accelerator = setting.accelerator
    found = {SLOT: 1.0, accelerator.name: 1.0, f"kernel:{setting.image.release}": 1.0}
    return found | ({f"svm_{accelerator.name}": 1.0} if accelerator.svm else {})


async def serve(scheduler: str, slots: int, setting: Setting) -> None:
    """Until the scheduler is gone. Raises HostError `scheduler` when none answers."""
    with TemporaryDirectory(prefix="freeonce-worker-") as folder, dask.config.set(SETTINGS):
        async with AsyncExitStack() as stack:
            try:
                nannies = [
                    Nanny(
                        scheduler,
                        nthreads=1,
                        resources=resources(setting),
                        local_directory=str(Path(folder) / str(number)),
                        memory_limit=0,
                        dashboard=False,
                    )
                    for number in range(slots)
                ]
                async with asyncio.timeout(CONNECT_SECONDS):
                    for nanny in nannies:
                        await stack.enter_async_context(nanny)
            except UNREACHABLE as error:
                raise unreachable(scheduler, error) from error
            await asyncio.gather(*(nanny.finished() for nanny in nannies))
