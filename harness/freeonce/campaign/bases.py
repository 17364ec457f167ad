"""What goes into the tasks of each kernel that a plan names, on this machine."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from freeonce.campaign.identity import (
    built_by,
    file_digest,
    harness,
    kernel_digest,
    library_digests,
    subject_digest,
)
from freeonce.campaign.task import Accelerators, Base
from freeonce.errors import HostError
from freeonce.evidence.scenarios import Scenario, parse_scenarios
from freeonce.guest import template_of
from freeonce.project.accelerator import choose_accelerator
from freeonce.project.chosen import chosen_image, with_project
from freeonce.project.making import image_of
from freeonce.project.setting import Setting, setting_of
from freeonce.subject.package import Package


def bases(
    accel: str, *, scenarios: bool, elsewhere: Accelerators | None = None
) -> Callable[[str], Base]:
    """By a kernel's name, "" for that in use. `scenarios`: whether guests have any. `elsewhere`:
    what runs them on other hosts; of this one `accel` is asked for.

    Raises HostError for what this host lacks, when it is asked.
    """

    @cache
    def base(kernel: str) -> Base:
        manifest = _image(kernel, scenarios)
        # Without SVM, as what has SVM may not be there: asked for by the first that needs it.
        setting = setting_of(manifest, "auto" if elsewhere else accel, svm=False)
        return base_of(setting, accel, kernel, elsewhere)

    return base


def base_of(
    setting: Setting, accel: str, kernel: str = "", elsewhere: Accelerators | None = None
) -> Base:
    """That of an image."""

    @cache
    def accelerator(svm: bool) -> str:
        return choose_accelerator(accel, setting.qemu, svm, setting.image).name

    @cache
    def table() -> Sequence[Scenario]:
        with_svm = "auto" if elsewhere else accel
        there = setting_of(setting.image.manifest, with_svm)
        with template_of(there.needing(1)) as source:
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

    @cache
    def _tools(subjects: tuple[str, ...]) -> Mapping[str, str]:
        # Once: all tasks of a campaign have the same.
        return built_by(subjects, setting.image)

    def tools(subjects: Sequence[str]) -> Mapping[str, str]:
        return _tools(tuple(subjects))

    @cache
    def libraries(exercises: Sequence[str], carried: Sequence[str]) -> Mapping[str, str]:
        return library_digests(exercises, carried)

    return Base(
        image=file_digest(setting.image.manifest),
        package=kernel_digest(setting.image),
        harness=harness(),
        qemu=setting.qemu.version,
        accelerator=elsewhere or accelerator,
        table=table,
        modules=modules,
        is_path=lambda word: "/" in word or ".ko" in word or Path(word).exists(),
        digest=digest,
        subject=subject,
        libraries=libraries,
        tools=tools,
        folder=os.getcwd(),
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
