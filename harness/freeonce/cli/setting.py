"""What every verb that boots a guest needs: image, QEMU, accelerator."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from freeonce.accelerator import Accelerator, choose_accelerator
from freeonce.byhand import announced
from freeonce.crew import CLONE_BYTES, Pristine, SharedGuest, default_jobs
from freeonce.evidence.scenarios import parse_scenarios
from freeonce.guest import Guest, boot, clone, take_template
from freeonce.host import Qemu, find_qemu
from freeonce.image import Image, image_path, load_image
from freeonce.machine.argv import MachineConfig, Window
from freeonce.machine.template import Template, origin, template


@dataclass(frozen=True)
class Setting:
    """Where guests come from."""

    image: Image
    qemu: Qemu
    accelerator: Accelerator
    window: Window = field(default_factory=Window)

    def config(self) -> MachineConfig:
        """The machine for one guest."""
        return MachineConfig(
            qemu=self.qemu.path,
            accelerator=self.accelerator.argument,
            cpu=self.accelerator.cpu,
            boot=self.image.boot,
            initramfs=self.image.initramfs,
            window=self.window,
        )

    def boot(self) -> Callable[[], AbstractContextManager[Guest]]:
        """Makes a fresh guest each time it is called."""
        return lambda: boot(self.config(), self.image)

    def template(self) -> AbstractContextManager[Template]:
        """The template of this setting, built when there is none."""
        config = self.config()
        about = origin(config, self.image.manifest, self.qemu)
        return template(config, about, lambda folder: take_template(config, self.image, folder))

    def clone(self, source: Template) -> Callable[[], AbstractContextManager[Guest]]:
        """Makes a clone each time it is called."""
        return lambda: clone(source, self.image)

    def by_hand(self, source: Template, verb: str) -> Callable[[], AbstractContextManager[Guest]]:
        """The same, for others to find: `verb` works with it."""
        return announced(self.clone(source), self.image, verb)

    def shared_guest(self) -> SharedGuest:
        """One booted guest for all scenarios."""
        return SharedGuest(self.boot())

    @contextmanager
    def clones(self, jobs: int | None = None) -> Iterator[Pristine]:
        """A clone for each scenario, `jobs` at a time; None: as many as this host bears."""
        config = self.config()
        room = config.memory + CLONE_BYTES
        with self.template() as source:
            known = parse_scenarios(source.table)
            with Pristine(
                self.clone(source), lambda: known, jobs or default_jobs(config.memory), room
            ) as crew:
                yield crew

    def crew(
        self, shared: bool = False, jobs: int | None = None
    ) -> AbstractContextManager[SharedGuest | Pristine]:
        """Who runs the scenarios of a campaign."""
        return self.shared_guest() if shared else self.clones(jobs)

    def document(self) -> dict[str, str]:
        """What a report says of the host."""
        return {
            "accelerator": self.accelerator.name,
            "reason": self.accelerator.reason,
            "qemu": self.qemu.version,
            "kernel": self.image.release,
            "rust": self.image.rust,
        }


def find_setting(accel: str) -> Setting:
    """Raises HostError, with what to do, for the first thing that is missing."""
    return setting_of(image_path(), accel)


def setting_of(manifest: Path, accel: str) -> Setting:
    """The same for an image of one's choice."""
    qemu = find_qemu()
    image = load_image(manifest)
    return Setting(image, qemu, choose_accelerator(accel, qemu))
