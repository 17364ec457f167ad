"""Real guests. Skips nothing: a missing image or QEMU fails with what to do."""

from collections.abc import Iterator

import pytest

from freeonce.cli.setting import Setting, find_setting
from freeonce.guest import Guest


@pytest.fixture(scope="session")
def setting() -> Setting:
    return find_setting("auto")


@pytest.fixture(scope="module")
def guest(setting: Setting) -> Iterator[Guest]:
    """One guest for the tests of a module; they must not depend on each other's traces."""
    with setting.boot()() as running:
        yield running
