"""What guests of this machine can be, found out by running one of each kind."""

from collections.abc import Iterator
from dataclasses import dataclass

from freeonce.audit.model import Verdict
from freeonce.errors import FreeonceError, HostError
from freeonce.evidence.scenarios import parse_scenarios
from freeonce.guest import clone, template_of
from freeonce.project.accelerator import choose_accelerator
from freeonce.project.host import find_qemu
from freeonce.project.setting import find_setting
from freeonce.run.campaign import run_one

VMRUN = "svm/vmrun_exits"
"""A scenario that executes VMRUN."""
QEMU = "qemu:"
"""How the resource begins that tells a worker's version of it."""


def resource(accelerator: str, svm: bool) -> str:
    """The name of that of a worker whose guests run under an accelerator, `svm`: with SVM."""
    return f"svm_{accelerator}" if svm else accelerator


@dataclass(frozen=True)
class Capabilities:
    """`accelerators`: under which a guest ran; `svm`: under which one executed VMRUN, and was
    judged clean; `kernels`: of these guests; `qemu`: its version. `lacking`: what not, and why, in
    words.
    """

    accelerators: tuple[str, ...]
    svm: tuple[str, ...]
    kernels: tuple[str, ...]
    qemu: str
    lacking: tuple[str, ...]

    def resources(self) -> dict[str, float]:
        """As a worker tells them. No task asks for a kernel: it is sent with the image."""
        if not self.accelerators:
            return {}
        names = (
            *(resource(one, svm=False) for one in self.accelerators),
            *(resource(one, svm=True) for one in self.svm),
            *(f"kernel:{one}" for one in self.kernels),
            f"{QEMU}{self.qemu}",
        )
        return dict.fromkeys(names, 1.0)

    def words(self) -> Iterator[str]:
        """For people."""
        yield f"runs guests: {', '.join(self.resources()) or 'none'}"
        yield from self.lacking


def probe(wanted: str) -> Capabilities:
    """`wanted`: `auto` for all that there are, or one accelerator.

    Where there is no image yet QEMU's own word is taken, and that is said. Raises HostError
    `no-qemu`, `old-qemu`.
    """
    qemu = find_qemu().version
    accelerators: list[str] = []
    svm: list[str] = []
    kernels: list[str] = []
    lacking: list[str] = []
    for name in ("tcg", "kvm") if wanted == "auto" else (wanted,):
        for with_svm in (True, False):
            words = f"{name}{' with SVM' if with_svm else ''}"
            try:
                kernels += _tried(name, with_svm)
            except HostError as error:
                lacking.append(f"{words}: {error}")
                if error.reason != "no-image" or not _promised(name, with_svm):
                    continue
                lacking.append(f"{words}: promised, but not tested: there is no image")
            except FreeonceError as error:
                lacking.append(f"{words}: {error}")
                continue
            accelerators.append(name)
            svm += [name] if with_svm else []
            break
    return Capabilities(
        tuple(accelerators), tuple(svm), tuple(dict.fromkeys(kernels)), qemu, tuple(lacking)
    )


def _tried(accelerator: str, svm: bool) -> list[str]:
    """The kernel of a guest that ran, and executed VMRUN if it has SVM.

    Raises HostError, GuestLost.
    """
    setting = find_setting(accelerator, svm=svm)
    with template_of(setting) as source, clone(source, setting.image) as guest:
        if svm:
            chosen = next(one for one in parse_scenarios(source.table) if one.name == VMRUN)
            result, _ = run_one(guest, chosen)
            judgement = result.judgement
            if judgement.verdict is not Verdict.CLEAN or not judgement.vmruns:
                said = "; ".join([str(judgement.verdict), *judgement.reasons])
                raise HostError("no-vmrun", f"{VMRUN} came to {said}")
        guest.check()
    return [setting.image.release]


def _promised(accelerator: str, svm: bool) -> bool:
    try:
        choose_accelerator(accelerator, find_qemu(), svm)
    except HostError:
        return False
    return True
