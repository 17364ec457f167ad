"""Real guests. Skips nothing: a missing image or QEMU fails with what to do."""

from collections.abc import Iterator

import pytest

from freeonce.guest import Guest, clone, template_of
from freeonce.machine.template import Template
from freeonce.project.setting import Setting, find_setting
from freeonce.run.audit import ready
from tests.guest.lives import Place


@pytest.fixture(scope="session")
def setting() -> Setting:
    return find_setting("auto")


@pytest.fixture(scope="session")
def template(setting: Setting) -> Iterator[Template]:
    """Built by whichever worker comes first; the others wait for it."""
    with template_of(setting) as source:
        yield source


@pytest.fixture
def guest(setting: Setting, template: Template) -> Iterator[Guest]:
    """A guest for this test alone."""
    with clone(template, setting.image) as running:
        yield running


@pytest.fixture(scope="session")
def place() -> Iterator[Place]:
    """Where lives are led: most need no SVM."""
    with ready(find_setting("auto", svm=False)) as found:
        yield found
