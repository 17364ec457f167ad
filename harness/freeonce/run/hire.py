"""The crew for a setting: clones, as many at a time as the host bears, or one guest for all."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from freeonce.evidence.scenarios import parse_scenarios
from freeonce.guest import boot, clone, template_of
from freeonce.project.setting import Setting
from freeonce.run.crew import CLONE_BYTES, Pristine, SharedGuest, default_jobs


def shared_guest(setting: Setting) -> SharedGuest:
    """One booted guest for all scenarios."""
    return SharedGuest(lambda: boot(setting.config(), setting.image))


@contextmanager
def clones(setting: Setting, jobs: int | None = None) -> Iterator[Pristine]:
    """A clone for each scenario, `jobs` at a time; None: as many as this host bears."""
    memory = setting.config().memory
    with template_of(setting) as source:
        known = parse_scenarios(source.table)
        with Pristine(
            lambda: clone(source, setting.image),
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
