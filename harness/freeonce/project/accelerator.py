"""KVM where it really runs the guests that are wanted, TCG everywhere else, and why."""

from dataclasses import dataclass

from freeonce.errors import HostError
from freeonce.machine.probe import kvm_probe
from freeonce.project.host import Qemu, kvm_obstacle


@dataclass(frozen=True)
class Accelerator:
    """What runs the guest. `reason`: why this one."""

    name: str
    reason: str

    @property
    def argument(self) -> str:
        """For QEMU's -accel."""
        return "kvm" if self.name == "kvm" else "tcg,thread=multi"

    @property
    def cpu(self) -> str:
        """For QEMU's -cpu: all that the accelerator can do, with SVM."""
        return "host" if self.name == "kvm" else "max,+svm,+npt"


def choose_accelerator(wanted: str, qemu: Qemu, svm: bool = True) -> Accelerator:
    """The accelerator for `auto`, `kvm` or `tcg`. `svm`: whether guests need it.

    Raises HostError `no-kvm` when kvm cannot be.
    """
    if wanted == "tcg":
        return Accelerator("tcg", "asked for; emulates SVM on any host")
    guests = "guests with SVM" if svm else "guests"
    obstacle = kvm_obstacle(svm) or kvm_probe(qemu.path, svm)
    if obstacle is None:
        return Accelerator("kvm", f"KVM runs {guests} here")
    if wanted == "kvm":
        raise HostError("no-kvm", f"KVM cannot run {guests} here: {obstacle}")
    return instead_of_kvm(obstacle)


def instead_of_kvm(obstacle: str) -> Accelerator:
    """TCG, for want of KVM."""
    return Accelerator("tcg", f"{obstacle}; TCG emulates SVM on any host")
