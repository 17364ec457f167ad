"""Real guests. Skips nothing: a missing image or QEMU fails with what to do."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from freeonce.guest import Guest, clone, template_of
from freeonce.machine.template import Template
from freeonce.project.machine import Machine
from freeonce.project.setting import Setting, find_setting
from freeonce.run.audit import ready
from tests.guest.lives import Place, shared


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


@pytest.fixture(scope="session")
def places() -> Iterator[Callable[[Machine], Place]]:
    """Where lives are led, by the machine. kvm-amd is one that needs SVM."""
    with ExitStack() as stack:

        @cache
        def found(machine: Machine) -> Place:
            return stack.enter_context(ready(find_setting("auto", machine=machine)))

        yield found


@pytest.fixture(scope="session")
def session(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    return shared(tmp_path_factory.getbasetemp(), worker_id)
