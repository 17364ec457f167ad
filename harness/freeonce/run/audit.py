"""One audit: a template that has proven its accelerator, a clone, a life in it."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from freeonce.audit.life import Life
from freeonce.errors import GuestLost, HostError
from freeonce.guest import BOOT_SECONDS, clone, template_of
from freeonce.machine.argv import MIB, Window
from freeonce.machine.template import Template
from freeonce.project.accelerator import instead_of_kvm
from freeonce.project.setting import Setting
from freeonce.run.conclude import conclude_life
from freeonce.run.life import live
from freeonce.run.prepare import Prepared

WINDOW = Window(128 * MIB, 64 * MIB)
"""A million records: a life leaves more than a scenario."""
MEMORY = 512 * MIB
KVM_SECONDS = 30.0
"""In which a guest under KVM must be ready: there are machines where it hangs."""


@contextmanager
def ready(setting: Setting, forced: bool) -> Iterator[tuple[Setting, Template]]:
    """A template, and the setting that it is of: that of KVM only where a guest got ready.

    `forced`: whether the accelerator was asked for by name; then there is no other.
    """
    setting = replace(setting, window=WINDOW, memory=max(setting.memory, MEMORY))
    with ExitStack() as stack:
        kvm = setting.accelerator.name == "kvm" and not forced
        try:
            seconds = KVM_SECONDS if kvm else BOOT_SECONDS
            source = stack.enter_context(template_of(setting, seconds))
        except (GuestLost, HostError) as error:
            if not kvm:
                raise
            obstacle = f"no guest gets ready under KVM: {str(error).splitlines()[0]}"
            setting = replace(setting, accelerator=instead_of_kvm(obstacle))
            source = stack.enter_context(template_of(setting))
        yield setting, source


def audit(setting: Setting, source: Template, prepared: Prepared) -> Life:
    """Lead the life in a clone, and judge it. Raises GuestLost, HostError without a guest."""
    start = time.monotonic()
    with clone(source, setting.image) as guest:
        lived = live(guest, prepared.plan)
    name = " ".join(target.name for target in prepared.targets)
    return conclude_life(name, prepared.targets, lived, time.monotonic() - start)
