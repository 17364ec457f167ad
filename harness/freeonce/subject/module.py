"""A kernel module's file, read: what it is called, what it is for and what it needs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from freeonce.errors import Obstacle, SubjectError
from freeonce.subject.elf import ALLOC, EXECUTABLE, UNDEFINED, Elf, parse_elf
from freeonce.subject.packed import read_packed

DEBUG = (".debug_", ".zdebug_", ".rela.debug_")
# include/linux/moduleparam.h, MAX_PARAM_PREFIX_LEN
NAME = re.compile(r"[A-Za-z0-9_]{1,55}")


@dataclass(frozen=True)
class Module:
    """One module. `name`: as the kernel calls it; `release`: of the kernel that it is for.

    `depends`: modules whose symbols it uses; `before`: those that it asks to be loaded
    before it (softdep). `undefined`: the symbols that it takes from elsewhere, in order.
    `parameters`: names that it declares; by module_param_cb() alone it may take others.
    """

    name: str
    path: Path
    release: str
    depends: tuple[str, ...]
    before: tuple[str, ...]
    undefined: tuple[str, ...] = field(repr=False)
    parameters: tuple[str, ...] = field(repr=False)
    elf: Elf = field(repr=False, compare=False)

    @property
    def has_debug_info(self) -> bool:
        """Whether lines of its source can be known."""
        return any(name.endswith("debug_info") for name in self.elf.section_names)

    def text_sections(self) -> tuple[int, ...]:
        """The indices of its executable sections."""
        flags = self.elf.sections["flags"]
        code = ALLOC | EXECUTABLE
        return tuple(int(index) for index in np.flatnonzero(flags & code == code))


def read_module(path: Path) -> Module:
    """The module in a file. Raises SubjectError for what cannot be judged."""
    data = read_packed(path)
    try:
        return parse_module(data, path)
    except SubjectError as error:
        raise SubjectError(error.reason, f"{path}: {error}") from error


def parse_module(data: bytes, path: Path) -> Module:
    """The same of its bytes. `path`: where they come from. Pure."""
    elf = parse_elf(data)
    information = dict(modinfo(elf.named(".modinfo")))
    if elf.index_of(".gnu.linkonce.this_module") is None or "vermagic" not in information:
        message = "no kernel module: an object file that was not linked as one (build its .ko)"
        raise SubjectError(Obstacle.NOT_A_MODULE, message)
    if not len(elf.symbols):
        message = (
            "no symbol table, so no call can be redirected; "
            "'strip -g' keeps what is needed, plain 'strip' does not"
        )
        raise SubjectError(Obstacle.NO_SYMBOLS, message)
    name = canonical(information.get("name") or path.name.split(".ko")[0])
    # It stands in commands and in the kernel's control files.
    if not NAME.fullmatch(name):
        raise SubjectError(
            Obstacle.NOT_A_MODULE, f"no kernel module: {name[:60]!r} is no name of one"
        )
    return Module(
        name=name,
        path=path,
        release=information["vermagic"].split(" ")[0],
        depends=tuple(filter(None, information.get("depends", "").split(","))),
        before=tuple(_before(elf.named(".modinfo"))),
        undefined=tuple(_undefined(elf)),
        parameters=tuple(_parameters(elf.named(".modinfo"))),
        elf=elf,
    )


def canonical(name: str) -> str:
    """A module's name as the kernel has it: it knows no hyphens."""
    return name.replace("-", "_")


def modinfo(section: bytes) -> Iterator[tuple[str, str]]:
    """The fields of a section `.modinfo`; some come more than once."""
    for entry in section.split(b"\0"):
        key, equals, value = entry.decode("utf-8", "replace").partition("=")
        if equals:
            yield key, value


def _parameters(section: bytes) -> Iterator[str]:
    """`parmtype=name:type`, `parm=name:what it is for`."""
    fields = (value for key, value in modinfo(section) if key in ("parmtype", "parm"))
    yield from sorted({value.partition(":")[0] for value in fields})


def _before(section: bytes) -> Iterator[str]:
    """modprobe.d(5), softdep: `pre: a b post: c`."""
    for key, value in modinfo(section):
        wanted = False
        for word in value.split() if key == "softdep" else ():
            if word.endswith(":"):
                wanted = word == "pre:"
            elif wanted:
                yield word


def _undefined(elf: Elf) -> Iterator[str]:
    named = (elf.symbols["section"] == UNDEFINED) & (elf.symbols["name"] != 0)
    for index in np.flatnonzero(named):
        yield elf.symbol_name(int(index))


def check_release(module: Module, release: str) -> None:
    """Raise SubjectError `wrong-kernel` when it is for another kernel than the guest's."""
    if module.release != release:
        message = (
            f"{module.path}: {module.name} is for Linux {module.release}, and the guest runs "
            f"{release}; build it against the image's headers (freeonce audit FOLDER), or "
            f"make an image of its kernel (freeonce setup --kernel ...)"
        )
        raise SubjectError(Obstacle.WRONG_KERNEL, message)
