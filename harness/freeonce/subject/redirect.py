"""A subject's calls led to the instrument's wrappers, in its file. Pure.

Each undefined symbol that has a wrapper gets the wrapper's name, and instructions that give the
CPU memory are led through calls (`trampolines`); nothing else of the module changes, and its source
is not needed. Its debug info stays with the host, its signature goes.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from freeonce.subject.elf import SYMBOL, UNDEFINED, Elf, damaged, rewrite
from freeonce.subject.families import Hook, Wrapper
from freeonce.subject.module import DEBUG, Module, parse_module
from freeonce.subject.moving import Found
from freeonce.subject.trampolines import Patched, led_by_calls
from freeonce.subject.unaudited import Unaudited, unaudited

VERSION = struct.Struct("<Q56s")
"""An entry of `__versions`: struct modversion_info of the kernel."""


NO_HOOKS: Mapping[str, Hook] = {}
GLOBAL = 1 << 4
"""Of a symbol's `info`: STB_GLOBAL, STT_NOTYPE."""


@dataclass(frozen=True)
class Redirected:
    """A subject as it is loaded. `module`: of the new bytes.

    `audited`: functions whose calls are judged; `unaudited`: those that look like
    acquiring something, and have no wrapper. `instructions`: that give the CPU memory.
    """

    module: Module
    audited: tuple[str, ...]
    unaudited: tuple[Unaudited, ...]
    instructions: tuple[Found, ...] = ()

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        return self.module.elf.data


def redirect(
    module: Module, wrappers: Mapping[str, Wrapper], hooks: Mapping[str, Hook] = NO_HOOKS
) -> Redirected:
    """The module with its calls led to the wrappers. `wrappers`: by the kernel's name.

    `hooks`: as `Families` has them; without any, instructions are left as they are. Raises
    SubjectError `damaged` when the result, read again, is not what it should be.
    """
    chosen = {name: wrappers[name] for name in module.undefined if name in wrappers}
    elf = module.elf
    behind = len(elf.symbols)
    patched = led_by_calls(module, {of: behind + i for i, of in enumerate(hooks)})
    # Of those that are not called nobody is to depend.
    added = tuple(hooks.values()) if patched.contents else ()
    contents = {**_symbols(elf, chosen, added), **_versions(elf, chosen, added), **patched.contents}
    dropped = frozenset(
        index for index, name in enumerate(elf.section_names) if name.startswith(DEBUG)
    )
    done = parse_module(rewrite(elf, contents, dropped), module.path)
    _verify(module, done, chosen, added, patched)
    return Redirected(
        module=replace(done, name=module.name),
        audited=tuple(dict.fromkeys(chosen)),
        unaudited=unaudited(module, wrappers),
        instructions=tuple(patched.found),
    )


def _symbols(elf: Elf, chosen: Mapping[str, Wrapper], added: Sequence[Hook]) -> dict[int, bytes]:
    """The symbol table with new names and those `added`, and its strings with these behind."""
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
    more = np.zeros(len(added), SYMBOL)
    for entry, hook in zip(more, added, strict=True):
        entry["name"], entry["info"] = len(strings), GLOBAL
        strings += hook.name.encode() + b"\0"
    return {elf.symtab: symbols.tobytes() + more.tobytes(), elf.names: bytes(strings)}


def _versions(elf: Elf, chosen: Mapping[str, Wrapper], added: Sequence[Hook]) -> dict[int, bytes]:
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
    out += b"".join(VERSION.pack(hook.crc, hook.name.encode()) for hook in added)
    return {index: bytes(out)}


def _verify(
    before: Module,
    after: Module,
    chosen: Mapping[str, Wrapper],
    added: Sequence[Hook],
    patched: Patched,
) -> None:
    """What is loaded must be the same module but for that: look at it again."""
    wanted = [chosen[name].name if name in chosen else name for name in before.undefined]
    if list(after.undefined) != [*wanted, *(hook.name for hook in added)]:
        raise damaged("its symbols do not survive the redirect")
    for index in before.text_sections():
        wanted_code = patched.contents.get(index, before.elf.content(index))
        if wanted_code != after.elf.content(index):
            raise damaged("its code does not survive the redirect")
