"""From what was asked for to the plan of a life: modules found, built, redirected, put in order."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from freeonce.audit.life import Instruction, NotAudited, Target
from freeonce.errors import UsageError
from freeonce.guest.files import GuestFile
from freeonce.project.image import Image
from freeonce.run.exercise import (
    of_carried,
    of_commands,
    of_files,
    sources_of,
    with_libraries,
)
from freeonce.run.life import DEFAULT_LIMITS, Limits, Load, Plan
from freeonce.subject.build import Headers, build, is_source
from freeonce.subject.families import read_families
from freeonce.subject.module import Module, canonical, check_release, read_module
from freeonce.subject.package import Package, load_order
from freeonce.subject.places import Source, source_of
from freeonce.subject.redirect import redirect
from freeonce.subject.requests import index, on_request


@dataclass(frozen=True)
class Wish:
    """A life as a user asks for it. `targets`, `dependencies`: files, folders, or names.

    `parameters`: as of insmod; with several targets each begins with a module's name and a
    dot. `carried`: HOST[:GUEST].
    """

    targets: tuple[str, ...]
    parameters: str = ""
    dependencies: tuple[str, ...] = ()
    exercises: tuple[Path, ...] = ()
    commands: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()
    keep: float = 0.0
    unload: bool = True
    limits: Limits = DEFAULT_LIMITS
    debug_info: Path | None = None


@dataclass(frozen=True)
class Prepared:
    """All that a life needs. `sources`: what tells the places of the targets.

    `warnings`: the compiler's, and of parameters.
    """

    plan: Plan
    targets: tuple[Target, ...]
    sources: tuple[Source, ...]
    warnings: tuple[str, ...]


def prepare(wish: Wish, image: Image, scratch: Path) -> Prepared:
    """Raises SubjectError for what cannot be judged, UsageError for what there is not."""
    package = Package(image.modules)
    finder = _Finder(package, Headers(image.headers, image.headers_source), scratch)
    targets = [module for target in wish.targets for module in finder.find(target)]
    others = [module for name in wish.dependencies for module in finder.needed(name)]
    _distinct(targets)
    for module in (*targets, *others):
        check_release(module, image.release)
    sources = tuple(_sources(targets, wish.debug_info))
    names = {module.name for module in targets}
    parameters = _parameters(wish.parameters, [module.name for module in targets])
    families = read_families(image.families)
    redirected = {
        module.name: redirect(module, families.wrappers, families.hooks) for module in targets
    }
    order = load_order(targets, others, package)
    loads = tuple(
        Load(
            name=module.name,
            data=redirected[module.name].data if module.name in names else module.elf.data,
            subject=module.name in names,
            parameters=tuple(parameters.get(module.name, ())),
        )
        for module in order
    )
    told = tuple(
        Target(
            name=module.name,
            file=str(module.path),
            release=module.release,
            audited=redirected[module.name].audited,
            unaudited=tuple(
                NotAudited(one.function, one.calls, one.what, one.because)
                for one in redirected[module.name].unaudited
            ),
            has_debug_info=source.debug is not None,
            instructions=tuple(
                Instruction(one.name, one.section, one.offset, one.left, one.function)
                for one in redirected[module.name].instructions
            ),
        )
        for module, source in zip(targets, sources, strict=True)
    )
    plan = _with_exercises(loads, wish)
    plan = replace(plan, within_reach=tuple(within_reach(order, package, image.release)))
    warnings = (*finder.warnings, *undeclared(targets, parameters))
    return Prepared(plan, told, sources, warnings)


def within_reach(loaded: Sequence[Module], package: Package, release: str) -> Iterator[GuestFile]:
    """Files of the guest by which its modprobe finds what is asked for while these work."""
    folder, modules = f"/lib/modules/{release}", on_request(loaded, package)
    if modules:
        yield from (GuestFile(f"{folder}/{one.name}.ko", one.elf.data) for one in modules)
        texts = index(modules).items()
        yield from (GuestFile(f"{folder}/{name}", text.encode()) for name, text in texts)


def _sources(targets: Sequence[Module], debug_info: Path | None) -> Iterator[Source]:
    if debug_info is not None and len(targets) > 1 and not debug_info.is_dir():
        message = f"--debug-info {debug_info}: with several targets it must be a folder"
        raise UsageError(message)
    for module in targets:
        yield source_of(module, debug_info)


def _with_exercises(loads: tuple[Load, ...], wish: Wish) -> Plan:
    exercises, files = of_files(wish.exercises)
    files += of_carried(wish.carried)
    return Plan(
        loads=loads,
        exercises=(*exercises, *of_commands(wish.commands)),
        files=tuple(with_libraries(files, sources_of(wish.exercises, wish.carried))),
        keep=wish.keep,
        unload=wish.unload,
        limits=wish.limits,
    )


class _Finder:
    """Modules by what a user calls them; folders are built in `scratch`, one beside another."""

    def __init__(self, package: Package, headers: Headers, scratch: Path) -> None:
        self._package = package
        self._headers = headers
        self._scratch = scratch
        self.warnings: list[str] = []

    def find(self, target: str) -> Iterator[Module]:
        path = Path(target)
        if not _is_path(target) and canonical(target) in self._package.files:
            yield self._package.module(target)
        elif path.is_dir():
            yield from self._built(path)
        elif _is_path(target) or path.is_file():
            yield read_module(path)
        else:
            yield self._package.module(target)

    def needed(self, name: str) -> Iterator[Module]:
        """As `find`, of what is only loaded: what is built into the kernel is there already."""
        if Path(name).exists() or not self._package.has_built_in(name):
            yield from self.find(name)

    def _built(self, folder: Path) -> Iterator[Module]:
        if not is_source(folder):
            raise UsageError(f"{folder} has neither Kbuild nor Makefile; give a module's folder")
        scratch = self._scratch / str(len(list(self._scratch.iterdir())))
        scratch.mkdir()
        built = build(folder, self._headers, scratch)
        self.warnings += built.warnings
        for made in built.modules:
            # Reports name the user's folder, not ours.
            inside = made.relative_to(scratch / folder.resolve().name)
            yield replace(read_module(made), path=folder / inside)


def _is_path(target: str) -> bool:
    return "/" in target or ".ko" in target


def _distinct(targets: Sequence[Module]) -> None:
    names = [module.name for module in targets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{', '.join(twice)}: given twice, and the kernel loads it once")


def _parameters(text: str, names: Sequence[str]) -> dict[str, list[str]]:
    """By the module's name. With one target a plain `a=1` is its own."""
    found: dict[str, list[str]] = {}
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--params {text!r}: {error}") from error
    for word in words:
        owner, dot, rest = word.partition(".")
        if dot and "=" not in owner and canonical(owner) in names:
            found.setdefault(canonical(owner), []).append(rest)
        elif len(names) == 1:
            found.setdefault(names[0], []).append(word)
        else:
            message = f"--params: whose is {word!r}? Of several targets write {names[0]}.{word}"
            raise UsageError(message)
    return found


OF_EVERY_MODULE = ("dyndbg", "async_probe")
"""Parameters that the kernel takes for any (kernel/module/main.c)."""


def undeclared(targets: Sequence[Module], parameters: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """A warning for each that no target declares, by the target's name.

    The kernel ignores a parameter that a module does not have, and says so in its log alone.
    """
    for module in targets:
        known = {canonical(one) for one in (*module.parameters, *OF_EVERY_MODULE)}
        for word in parameters.get(module.name, ()):
            name = word.partition("=")[0]
            if canonical(name) not in known:
                declared = ", ".join(module.parameters) or "none"
                yield (
                    f"--params: {module.name} declares no parameter {name!r} ({declared}); "
                    "the kernel ignores what a module does not know"
                )
