"""A cluster of Dask on this machine, for tests of who hands tasks to one, and to be measured."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
from distributed import Client, LocalCluster

from freeonce.campaign.cluster import SETTINGS, SLOT
from freeonce.campaign.task import Body
from freeonce.project.host import find_qemu

ASKED: Body = {"accel": "tcg", "qemu": "any"}
"""What is to run the guests of tasks that have none."""
EVERYTHING = ("tcg", "kvm", "svm_tcg", "svm_kvm", "qemu:any")
"""The resources that a task may ask for, but for the version of a real QEMU."""


@contextmanager
def local_cluster(slots: int, scratch: Path) -> Iterator[Client]:
    """A process a slot; nothing listens beyond loopback."""
    with (
        dask.config.set(SETTINGS),
        LocalCluster(
            n_workers=slots,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            resources=dict.fromkeys((SLOT, *EVERYTHING, f"qemu:{find_qemu().version}"), 1),
            local_directory=str(scratch),
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
