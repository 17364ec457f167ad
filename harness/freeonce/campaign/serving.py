"""This machine's workers for a scheduler: a process for each guest, each under a nanny."""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import dask
from distributed import Nanny

from freeonce.campaign.cluster import SETTINGS, SLOT, UNREACHABLE, unreachable
from freeonce.errors import HostError
from freeonce.machine.folder import kept_folder

CONNECT_SECONDS = 60
TAKEN_OUT = "scheduler-close-worker"
"""What Dask's scheduler tells a worker that a client retires."""


async def serve(scheduler: str, slots: int, capabilities: Mapping[str, float]) -> None:
    """Until all workers were taken out, or the scheduler is gone, and nobody answers at its address
    for a minute: it may only have been out of reach. `capabilities`: what each worker tells of
    this machine.

    Raises HostError `scheduler` when none answered at all.
    """
    served = False
    while slots:
        try:
            slots -= await _serve(scheduler, slots, {SLOT: 1.0, **capabilities})
        except HostError:
            if served:
                return
            raise
        served = True


class _Keeper(Nanny):  # type: ignore[misc]
    """A nanny that knows whether its worker was taken out, or only lost its scheduler."""

    taken_out = False

    def close_gracefully(self, reason: str = "nanny-close-gracefully") -> None:
        """Called by its worker, with what that was told."""
        self.taken_out = self.taken_out or reason == TAKEN_OUT
        super().close_gracefully(reason)


async def _serve(scheduler: str, slots: int, resources: dict[str, float]) -> int:
    """How many workers were taken out."""
    # Its keeper removes the folder when we are killed.
    with kept_folder() as folder, dask.config.set(SETTINGS):
        async with AsyncExitStack() as stack:
            try:
                nannies = [
                    _Keeper(
                        scheduler,
                        nthreads=1,
                        # Otherwise workers listen on every address of this machine.
                        host=address_towards(scheduler),
                        resources=resources,
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
            return sum(nanny.taken_out for nanny in nannies)


def address_towards(scheduler: str) -> str:
    """Ours on the way to a scheduler. Raises OSError, ValueError."""
    parts = urlsplit(scheduler)
    if parts.hostname is None or parts.port is None:
        raise ValueError("write tcp://HOST:PORT")
    family, *_, where = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as line:
        # Nothing is sent.
        line.connect(where)
        return str(line.getsockname()[0])
