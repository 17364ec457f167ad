"""The tables of `freeonce.toml`, each key with its type; what is unknown or impossible is refused.

pydantic makes the checks; who loads this file has a `freeonce.toml` to read.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from freeonce.errors import UsageError
from freeonce.project.machine import Machine, split_arguments


def _there(path: str, info: ValidationInfo) -> str:
    """A path from the project's folder at which something is."""
    if not ((info.context or {})["folder"] / path).exists():
        raise ValueError(f"there is no {path} in the project")
    return path


There = Annotated[str, AfterValidator(_there)]
Text = Annotated[str, Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class MachineTable(_Table):
    """`[machine]`: as the options of `freeonce run`."""

    memory: int = Machine.memory
    cpus: int | None = Machine.cpus
    append: str = ""
    qemu: list[str] = []

    @model_validator(mode="after")
    def _possible(self) -> "MachineTable":
        try:
            Machine(self.memory, self.cpus, self.append, split_arguments(tuple(self.qemu)))
        except UsageError as error:
            raise ValueError(str(error)) from error
        return self


class AuditTable(_Table):
    """`[audit]`: as the options of `freeonce audit`. A target without `/` or `.ko` is a name."""

    targets: list[Text] = []
    params: str = ""
    exercises: list[There] = []
    commands: list[Text] = []
    files: list[Text] = []
    dependencies: list[Text] = []
    suppressions: list[There] = []

    def options(self, folder: Path) -> dict[str, Any]:
        """By the names of `audit`'s parameters. `folder`: the project's, from where we are."""
        said: dict[str, Any] = {
            "targets": [_target(one, folder) for one in self.targets],
            "params": self.params,
            "exercises": [str(folder / one) for one in self.exercises],
            "commands": self.commands,
            "carried": [str(folder / one) for one in self.files],
            "suppress_files": [str(folder / one) for one in self.suppressions],
            "dependencies": [_target(one, folder) for one in self.dependencies],
        }
        # What the table does not say keeps the verb's default.
        return {name: value for name, value in said.items() if value}


class AcquireTable(_Table):
    """A function that acquires, by the keys of guest/instrument/families/families.toml."""

    is_: Annotated[Text, Field(alias="is")]
    size: str | None = None
    handle: str | None = None
    fails: str | None = None
    taken: str | None = None


class ReleaseTable(_Table):
    """A function that releases, likewise."""

    is_: Annotated[Text, Field(alias="is")]
    handle: str | None = None
    null: bool | None = None


class FamilyTable(_Table):
    """`[families.NAME]`: functions more of a family. `includes`: the kernel's headers with them."""

    includes: list[Annotated[str, Field(pattern=r"^[\w./-]+\.h$")]] = []
    acquire: Annotated[list[AcquireTable], Field(min_length=1)]
    release: Annotated[list[ReleaseTable], Field(min_length=1)]


class Tables(_Table):
    """The whole file."""

    kernels: Annotated[list[Text], Field(min_length=1)] = ["cloud"]
    scenarios: str = "scenarios"
    crate: There | None = None
    machine: MachineTable = MachineTable()
    audit: AuditTable = AuditTable()
    families: dict[str, FamilyTable] = {}


def _target(word: str, folder: Path) -> str:
    """A path from where we are; a name of a module of the kernel's stays one."""
    is_path = "/" in word or ".ko" in word or (folder / word).is_dir()
    found = str(folder / word)
    return (found if "/" in found else f"./{found}") if is_path else word
