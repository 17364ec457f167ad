"""The modules of the guest's kernel package: a name to its file, and what is loaded before it.

What a module needs stands in itself (`depends=`, `softdep=` of its section .modinfo), as
modpost wrote it; depmod's files are made of the same, and an unpacked package has none. Aliases
of modules that nobody reads are known where depmod has been.
"""

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from freeonce.errors import Obstacle, SubjectError, UsageError
from freeonce.subject.module import Module, canonical, read_module
from freeonce.subject.packed import ENDINGS


@dataclass(frozen=True)
class Package:
    """The modules in a folder (lib/modules/RELEASE), read when they are asked for."""

    folder: Path

    @cached_property
    def files(self) -> Mapping[str, Path]:
        """Every module's file by its name."""
        found: dict[str, Path] = {}
        for folder, _, names in os.walk(self.folder.resolve()):
            for name in names:
                stem, dot, _ = name.partition(".ko")
                if dot and name.endswith(ENDINGS):
                    found.setdefault(canonical(stem), Path(folder, name))
        return found

    @cached_property
    def builtin(self) -> frozenset[str]:
        """The names of those that are part of the kernel itself."""
        try:
            lines = (self.folder / "modules.builtin").read_text().splitlines()
        except OSError:
            return frozenset()
        return frozenset(canonical(Path(line).name.removesuffix(".ko")) for line in lines)

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """Modules by their other names, but for patterns (modules.alias)."""
        try:
            lines = (self.folder / "modules.alias").read_text().splitlines()
        except OSError:
            return {}
        words = [line.split() for line in lines]
        return {one[1]: one[2] for one in words if len(one) == 3 and one[0] == "alias"}

    def has_built_in(self, name: str) -> bool:
        """Whether that module is part of the kernel itself, and so always there."""
        return canonical(name) in self.builtin

    def asked_for(self, name: str) -> Iterator[str]:
        """The module that a modprobe finds by that name, if there is one."""
        for known in (canonical(name), canonical(self.aliases.get(name, ""))):
            if known in self.files:
                yield known

    def module(self, name: str) -> Module:
        """The module of that name.

        Raises UsageError, with the names that are near, when there is none; SubjectError
        when its file is no module.
        """
        wanted = canonical(name)
        if wanted in self.files:
            return read_module(self.files[wanted])
        if self.has_built_in(name):
            raise UsageError(
                f"{name} is built into the guest's kernel: there is no module file to audit"
            )
        near = difflib.get_close_matches(wanted, self.files, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "give the path of a .ko"
        raise UsageError(f"the guest's kernel package has no module {name!r}; {hint}")


def load_order(
    targets: Iterable[Module], others: Iterable[Module], package: Package
) -> list[Module]:
    """All modules that must be loaded, each after what it needs; targets in their own order.

    What a target needs is a target or one of `others` (`--dep`) if they have that name,
    else the package's. Raises SubjectError `missing-module`.
    """
    targets, others = list(targets), list(others)
    known = {one.name: one for one in (*others, *targets)}
    order: dict[str, Module] = {}
    # Those given by --dep may be needed by what no section tells: a request_module().
    for module in (*others, *targets):
        _visit(module, known, package, order, ())
    return list(order.values())


def _visit(
    module: Module,
    known: dict[str, Module],
    package: Package,
    order: dict[str, Module],
    above: tuple[str, ...],
) -> None:
    if module.name in order or module.name in above:
        return
    for needed in _needed(module, known, package):
        _visit(needed, known, package, order, (*above, module.name))
    order[module.name] = module


def _needed(module: Module, known: dict[str, Module], package: Package) -> Iterator[Module]:
    for name in map(canonical, module.depends):
        if name not in known:
            known[name] = _from_package(module, name, package)
        yield known[name]
    for name in map(canonical, module.before):
        # A wish, often an alias: what is not there is not needed.
        if name not in known and name in package.files:
            known[name] = package.module(name)
        if name in known:
            yield known[name]


def _from_package(module: Module, name: str, package: Package) -> Module:
    try:
        return package.module(name)
    except UsageError as error:
        message = (
            f"{module.path}: {module.name} needs the module {name}, which the guest's kernel "
            f"package does not have; give its file with --dep FILE"
        )
        raise SubjectError(Obstacle.MISSING_MODULE, message) from error
