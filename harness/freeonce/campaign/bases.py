"""What goes into the tasks of each kernel that a plan names, on this machine."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from freeonce.campaign.identity import (
    file_digest,
    harness,
    kernel_digest,
    library_digests,
    subject_digest,
)
from freeonce.campaign.task import Base
from freeonce.errors import HostError
from freeonce.evidence.scenarios import Scenario, parse_scenarios
from freeonce.guest import template_of
from freeonce.project.chosen import chosen_image, with_project
from freeonce.project.making import image_of
from freeonce.project.setting import Setting, setting_of
from freeonce.subject.package import Package


def bases(accel: str, *, scenarios: bool) -> Callable[[str], Base]:
    """By a kernel's name, "" for that in use. `scenarios`: whether guests have any.

    Raises HostError for what this host lacks, when it is asked.
    """

    @cache
    def base(kernel: str) -> Base:
        manifest = _image(kernel, scenarios)
        return base_of(setting_of(manifest, accel, scenarios), accel, kernel)

    return base


def base_of(setting: Setting, accel: str, kernel: str = "") -> Base:
    """That of an image."""

    @cache
    def table() -> Sequence[Scenario]:
        with template_of(setting.needing(1)) as source:
            return parse_scenarios(source.table)

    @cache
    def modules() -> Mapping[str, Path]:
        return Package(setting.image.modules).files

    @cache
    def digest(path: str) -> str:
        return file_digest(Path(path))

    @cache
    def subject(path: str) -> str:
        return subject_digest(Path(path))

    return Base(
        image=file_digest(setting.image.manifest),
        package=kernel_digest(setting.image),
        harness=harness(),
        accelerator=accel,
        table=table,
        modules=modules,
        is_path=lambda word: "/" in word or ".ko" in word or Path(word).exists(),
        digest=digest,
        subject=subject,
        libraries=library_digests,
        kernel=kernel,
    )


def _image(kernel: str, scenarios: bool) -> Path:
    """The manifest of its image, with the scenarios of the project that we stand in."""
    if not kernel:
        return chosen_image(scenarios=scenarios)
    manifest = image_of(kernel)
    if not manifest.exists():
        message = f"the kernel {kernel} has no image; run 'freeonce setup --kernel {kernel}'"
        raise HostError("no-image", message)
    return with_project(manifest, scenarios=scenarios)
