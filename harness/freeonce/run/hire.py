"""The crew for a setting: clones, as many at a time as the host bears, or one guest for all."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from freeonce.evidence.scenarios import parse_scenarios
from freeonce.guest import boot, clone, template_of
from freeonce.machine.template import Template
from freeonce.project.machine import CPUS
from freeonce.project.setting import Setting
from freeonce.run.crew import CLONE_BYTES, Pristine, SharedGuest, default_jobs


def shared_guest(setting: Setting) -> SharedGuest:
    """One booted guest for all scenarios."""
    return SharedGuest(lambda: boot(setting.config(), setting.image))


class Templates(AbstractContextManager["Templates"]):
    """Those of a setting, one for each number of CPUs, made when the first asks for it."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._open: dict[int, Template] = {}
        self._stack = ExitStack()
        self._lock = threading.Lock()

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, cpus: int) -> Template:
        """For what needs so many CPUs. Raises as `template_of`."""
        setting = self._setting.needing(cpus)
        count = setting.config().cpus
        with self._lock:
            if count not in self._open:
                self._open[count] = self._stack.enter_context(template_of(setting))
            return self._open[count]


@contextmanager
def template_for_any(setting: Setting) -> Iterator[Template]:
    """One that has the CPUs that any of its scenarios needs, unless the user says how many."""
    with Templates(setting) as templates:
        known = parse_scenarios(templates.of(CPUS).table)
        yield templates.of(max(CPUS, *(one.cpus for one in known)))


@contextmanager
def clones(setting: Setting, jobs: int | None = None) -> Iterator[Pristine]:
    """A clone for each scenario, or for some that share one, `jobs` at a time.

    None: as many as this host bears.
    """
    memory = setting.config().memory
    with Templates(setting) as templates:
        known = parse_scenarios(templates.of(1).table)
        with Pristine(
            lambda cpus: clone(templates.of(cpus), setting.image),
            lambda: known,
            jobs or default_jobs(memory),
            memory + CLONE_BYTES,
        ) as crew:
            yield crew


def crew_of(
    setting: Setting, shared: bool = False, jobs: int | None = None
) -> AbstractContextManager[SharedGuest | Pristine]:
    """Who runs the scenarios of a campaign."""
    return shared_guest(setting) if shared else clones(setting, jobs)
