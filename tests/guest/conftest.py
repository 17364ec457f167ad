"""Real guests. Skips nothing: a missing image or QEMU fails with what to do."""

from collections.abc import Iterator

import pytest

from freeonce.cli.setting import Setting, find_setting
from freeonce.guest import Guest
from freeonce.machine.template import Template


@pytest.fixture(scope="session")
def setting() -> Setting:
    return find_setting("auto")


@pytest.fixture(scope="session")
def template(setting: Setting) -> Iterator[Template]:
    """Built by whichever worker comes first; the others wait for it."""
    with setting.template() as source:
        yield source


@pytest.fixture
def guest(setting: Setting, template: Template) -> Iterator[Guest]:
    """A guest for this test alone."""
    with setting.clone(template)() as running:
        yield running
