"""What every verb that makes guests needs: image, QEMU, accelerator, and the machine of these."""

from dataclasses import dataclass, field
from pathlib import Path

from freeonce.machine.argv import MIB, MachineConfig, Window
from freeonce.project.accelerator import Accelerator, choose_accelerator
from freeonce.project.host import Qemu, find_qemu
from freeonce.project.image import Image, image_path, load_image


@dataclass(frozen=True)
class Setting:
    """Where guests come from. `memory`: bytes that each has."""

    image: Image
    qemu: Qemu
    accelerator: Accelerator
    window: Window = field(default_factory=Window)
    memory: int = 256 * MIB

    def config(self) -> MachineConfig:
        """The machine for one guest."""
        return MachineConfig(
            qemu=self.qemu.path,
            accelerator=self.accelerator.argument,
            cpu=self.accelerator.cpu,
            boot=self.image.boot,
            initramfs=self.image.initramfs,
            window=self.window,
            memory=self.memory,
        )

    def document(self) -> dict[str, str]:
        """What a report says of the host."""
        return {
            "accelerator": self.accelerator.name,
            "reason": self.accelerator.reason,
            "qemu": self.qemu.version,
            "kernel": self.image.release,
            "rust": self.image.rust,
        }


def find_setting(accel: str, svm: bool = True) -> Setting:
    """Where guests come from. `svm`: whether they need it.

    Raises HostError, with what to do, for the first thing that is missing.
    """
    return setting_of(image_path(), accel, svm)


def setting_of(manifest: Path, accel: str, svm: bool = True) -> Setting:
    """The same for an image of one's choice."""
    qemu = find_qemu()
    image = load_image(manifest)
    return Setting(image, qemu, choose_accelerator(accel, qemu, svm))
