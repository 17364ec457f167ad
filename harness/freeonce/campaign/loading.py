"""What needs Dask is loaded when it is needed: that takes seconds, and not every user has it."""

from importlib import import_module
from types import ModuleType

from freeonce.errors import HostError


def loaded(name: str) -> ModuleType:
    """A module of this room. Raises HostError `no-dask` with what to do."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in ("dask", "distributed"):
            raise
        message = "other hosts need Dask's distributed here: pip install 'freeonce[campaign]'"
        raise HostError("no-dask", message) from error
