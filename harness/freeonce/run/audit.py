"""One audit: a template with room for a life, a clone of it, the life in that."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from freeonce.audit.life import Life
from freeonce.guest import clone, template_of
from freeonce.machine.argv import MIB, Window
from freeonce.machine.template import Template
from freeonce.project.setting import Setting
from freeonce.run.conclude import conclude_life
from freeonce.run.life import live
from freeonce.run.prepare import Prepared

WINDOW = Window(128 * MIB, 64 * MIB)
"""A million records: a life leaves more than a scenario."""
MEMORY = 512
"""MiB, at least."""


@contextmanager
def ready(setting: Setting) -> Iterator[tuple[Setting, Template]]:
    """A template that a life has room in, and the setting that it is of."""
    machine = replace(setting.machine, memory=max(setting.machine.memory, MEMORY))
    setting = replace(setting, window=WINDOW, machine=machine, specimens=False)
    with template_of(setting) as source:
        yield setting, source


def audit(setting: Setting, source: Template, prepared: Prepared) -> Life:
    """Lead the life in a clone, and judge it. Raises GuestLost, HostError without a guest."""
    start = time.monotonic()
    with clone(source, setting.image) as guest:
        lived = live(guest, prepared.plan)
    name = " ".join(target.name for target in prepared.targets)
    return conclude_life(name, prepared.targets, lived, time.monotonic() - start)
