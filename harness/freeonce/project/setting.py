"""What every verb that makes guests needs: image, QEMU, accelerator, and the machine of these."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from freeonce.machine.argv import MIB, MachineConfig, Window
from freeonce.project.accelerator import Accelerator, choose_accelerator
from freeonce.project.chosen import chosen_image
from freeonce.project.host import Qemu, find_qemu
from freeonce.project.image import Image, load_image
from freeonce.project.machine import CPUS, Machine

MACHINE = Machine()


@dataclass(frozen=True)
class Setting:
    """Where guests come from. `specimens`: whether those are in it."""

    image: Image
    qemu: Qemu
    accelerator: Accelerator
    window: Window = field(default_factory=Window)
    machine: Machine = field(default_factory=Machine)
    specimens: bool = True

    def config(self) -> MachineConfig:
        """The machine for one guest."""
        return MachineConfig(
            qemu=self.qemu.path,
            accelerator=self.accelerator.argument,
            cpu=self.accelerator.cpu,
            boot=self.image.boot,
            initramfs=self.image.initramfs,
            window=self.window,
            memory=self.machine.memory * MIB,
            cpus=self.machine.cpus or CPUS,
            append=self.machine.append,
            extra=self.machine.qemu,
            sandbox=self.qemu.sandbox,
            features=frozenset({"svm"}) if self.accelerator.svm else frozenset(),
            specimens=self.specimens,
        )

    def needing(self, cpus: int) -> "Setting":
        """For what needs so many CPUs, unless the user says how many."""
        return replace(self, machine=replace(self.machine, cpus=self.machine.cpus or cpus))

    def document(self) -> dict[str, str]:
        """What a report says of the host."""
        document = {
            "accelerator": self.accelerator.name,
            "reason": self.accelerator.reason,
            "qemu": self.qemu.version,
            "kernel": self.image.release,
            "rust": self.image.rust,
        }
        if self.machine != Machine():
            document["machine"] = str(self.machine)
        return document


def find_setting(
    accel: str, svm: bool = True, machine: Machine = MACHINE, kernel: str | None = None
) -> Setting:
    """Where guests come from. `svm`: whether they need it, as those with scenarios do.

    In a project it has the project's scenarios and its first kernel, or `kernel` of them. Raises
    HostError, with what to do, for the first thing that is missing; UsageError for a project
    that is wrong.
    """
    return setting_of(chosen_image(scenarios=svm, kernel=kernel), accel, svm, machine)


def setting_of(manifest: Path, accel: str, svm: bool = True, machine: Machine = MACHINE) -> Setting:
    """The same for an image of one's choice."""
    qemu = find_qemu()
    image = load_image(manifest, kernel=False)
    chosen = choose_accelerator(accel, qemu, svm, image)
    return Setting(image, qemu, chosen, machine=machine)
