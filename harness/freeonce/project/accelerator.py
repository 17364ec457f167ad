"""KVM where it really runs SVM guests, TCG everywhere else, and why."""

from dataclasses import dataclass

from freeonce.errors import HostError
from freeonce.machine.probe import kvm_probe
from freeonce.project.host import Qemu, kvm_without_svm


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


def choose_accelerator(wanted: str, qemu: Qemu) -> Accelerator:
    """The accelerator for `auto`, `kvm` or `tcg`. Raises HostError `no-kvm` when kvm cannot be."""
    if wanted == "tcg":
        return Accelerator("tcg", "asked for; emulates SVM on any host")
    obstacle = kvm_without_svm() or kvm_probe(qemu.path)
    if obstacle is None:
        return Accelerator("kvm", "KVM runs guests with SVM here")
    if wanted == "kvm":
        raise HostError("no-kvm", f"KVM cannot run guests with SVM here: {obstacle}")
    return Accelerator("tcg", f"{obstacle}; TCG emulates SVM on any host")
