"""KVM where it has really run a guest of the kind that is wanted, TCG everywhere else, and why."""

from dataclasses import dataclass
from functools import partial

from freeonce.errors import HostError
from freeonce.machine.argv import MachineConfig
from freeonce.machine.probe import kvm_probe, ready_probe
from freeonce.project.host import Qemu, kvm_obstacle
from freeonce.project.image import Image
from freeonce.project.remembered import remembered


@dataclass(frozen=True)
class Accelerator:
    """What runs the guest. `reason`: why this one. `svm`: whether its guests have SVM."""

    name: str
    reason: str
    svm: bool = True

    @property
    def argument(self) -> str:
        """For QEMU's -accel. A thread for each CPU is TCG's default, but with a user's -icount."""
        return self.name

    @property
    def cpu(self) -> str:
        """For QEMU's -cpu: all that the accelerator can do, with SVM."""
        return "host" if self.name == "kvm" else "max,+svm,+npt"


def choose_accelerator(
    wanted: str, qemu: Qemu, svm: bool = True, image: Image | None = None, *, anew: bool = False
) -> Accelerator:
    """The accelerator for `auto`, `kvm` or `tcg`. `svm`: whether guests need it.

    `image`: what a probe boots; without one it runs QEMU's firmware only. Probes are remembered
    until this host boots again; `anew`: obstacles are not. Raises HostError `no-kvm` when kvm
    cannot be.
    """
    if wanted == "tcg":
        return Accelerator("tcg", "asked for; emulates SVM on any host")
    guests = "guests with SVM" if svm else "guests"
    obstacle = kvm_obstacle(svm) or _probed(qemu, svm, image, anew or wanted == "kvm")
    if obstacle is None:
        has_svm = svm or kvm_obstacle(svm=True) is None
        return Accelerator("kvm", f"KVM runs {guests} here", has_svm)
    if wanted == "kvm":
        raise HostError("no-kvm", f"KVM cannot run {guests} here: {obstacle}")
    return instead_of_kvm(obstacle)


def instead_of_kvm(obstacle: str) -> Accelerator:
    """TCG, for want of KVM."""
    return Accelerator("tcg", f"{obstacle}; TCG emulates SVM on any host")


def _probed(qemu: Qemu, svm: bool, image: Image | None, anew: bool) -> str | None:
    """Why KVM runs no guest. An obstacle that is remembered may be gone: `anew` looks again."""
    cpu = "host,+svm" if svm else "host"
    firmware = remembered(
        ("firmware", qemu.path, qemu.version, cpu), partial(kvm_probe, qemu.path, cpu), anew
    )
    if firmware is not None or image is None:
        return firmware
    config = MachineConfig(qemu.path, "kvm", image.boot, image.initramfs, cpu, sandbox=qemu.sandbox)
    key = ("guest", qemu.path, qemu.version, cpu, image.release, str(image.boot))

    def boots() -> str | None:
        image.check_kernel()
        return ready_probe(config)

    return remembered(key, boots, anew)
