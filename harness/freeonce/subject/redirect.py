"""A subject's calls led to the instrument's wrappers, in its file. Pure.

Each undefined symbol that has a wrapper gets the wrapper's name; nothing else of the module
changes, and its source is not needed. Its debug info stays with the host, its signature goes.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace

from freeonce.subject.elf import UNDEFINED, Elf, damaged, rewrite
from freeonce.subject.families import Wrapper
from freeonce.subject.module import DEBUG, Module, parse_module
from freeonce.subject.unaudited import Unaudited, unaudited

VERSION = struct.Struct("<Q56s")
"""An entry of `__versions`: struct modversion_info of the kernel."""


@dataclass(frozen=True)
class Redirected:
    """A subject as it is loaded. `module`: of the new bytes.

    `audited`: functions whose calls are judged; `unaudited`: those that look like
    acquiring something, and of which nobody tells.
    """

    module: Module
    audited: tuple[str, ...]
    unaudited: tuple[Unaudited, ...]

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        return self.module.elf.data


def redirect(module: Module, wrappers: Mapping[str, Wrapper]) -> Redirected:
    """The module with its calls led to the wrappers. `wrappers`: by the kernel's name.

    Raises SubjectError `damaged` when the result, read again, is not what it should be.
    """
    chosen = {name: wrappers[name] for name in module.undefined if name in wrappers}
    elf = module.elf
    contents = {**_symbols(elf, chosen), **_versions(elf, chosen)}
    dropped = frozenset(
        index for index, name in enumerate(elf.section_names) if name.startswith(DEBUG)
    )
    done = parse_module(rewrite(elf, contents, dropped), module.path)
    _verify(module, done, chosen)
    return Redirected(
        module=replace(done, name=module.name),
        audited=tuple(dict.fromkeys(chosen)),
        unaudited=unaudited(module, wrappers),
    )


def _symbols(elf: Elf, chosen: Mapping[str, Wrapper]) -> dict[int, bytes]:
    """The symbol table with new names, and its strings with those names behind them."""
    symbols = elf.symbols.copy()
    strings = bytearray(elf.strings)
    places: dict[str, int] = {}
    for index in (symbols["section"] == UNDEFINED).nonzero()[0]:
        name = elf.symbol_name(int(index))
        if name not in chosen:
            continue
        if name not in places:
            places[name] = len(strings)
            strings += chosen[name].name.encode() + b"\0"
        symbols[index]["name"] = places[name]
    return {elf.symtab: symbols.tobytes(), elf.names: bytes(strings)}


def _versions(elf: Elf, chosen: Mapping[str, Wrapper]) -> dict[int, bytes]:
    """The checksums of the symbols that it imports: the kernel refuses those that do not fit."""
    index = elf.index_of("__versions")
    if index is None:
        return {}
    section = elf.content(index)
    if len(section) % VERSION.size:
        raise damaged("its section __versions ends within an entry")
    out = bytearray()
    for crc, padded in VERSION.iter_unpack(section):
        wrapper = chosen.get(padded.split(b"\0")[0].decode("utf-8", "replace"))
        out += (
            VERSION.pack(wrapper.crc, wrapper.name.encode())
            if wrapper
            else VERSION.pack(crc, padded)
        )
    return {index: bytes(out)}


def _verify(before: Module, after: Module, chosen: Mapping[str, Wrapper]) -> None:
    """What is loaded must be the same module but for the names: look at it again."""
    wanted = [chosen[name].name if name in chosen else name for name in before.undefined]
    if list(after.undefined) != wanted:
        raise damaged("its symbols do not survive the redirect")
    for index in before.text_sections():
        if before.elf.content(index) != after.elf.content(index):
            raise damaged("its code does not survive the redirect")
