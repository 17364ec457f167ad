"""What a request_module() may ask for while modules work, and how a modprobe in the guest finds it.

No section tells of it: zram asks for `crypto-lzo-rle` because a user chose that compressor. But
the name stands among a module's strings, as it is or as a part of what is asked for.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from freeonce.errors import SubjectError
from freeonce.subject.module import Module, canonical, modinfo
from freeonce.subject.package import Package, load_order

STRING = re.compile(rb"(?<![^\0])[!-~]{2,63}(?=\0)")
PREFIXES = ("", "crypto-")
"""Of what is asked for (crypto/api.c, crypto_larval_lookup())."""


def on_request(loaded: Sequence[Module], package: Package) -> list[Module]:
    """Modules of the package that those loaded name, and what these need, in order of load.

    Not those that are loaded anyway: of a module under audit there is its redirected copy only.
    """
    asked = sorted({name for module in loaded for name in _named(module, package)})
    there = {module.name for module in loaded}
    found: dict[str, Module] = {}
    for name in asked:
        # Whether it is ever asked for is unknown: one that cannot be had spoils nothing.
        with suppress(SubjectError):
            order = load_order([package.module(name)], loaded, package)
            found |= {one.name: one for one in order if one.name not in there}
    return list(found.values())


def index(modules: Iterable[Module]) -> dict[str, str]:
    """modules.dep and modules.alias (modules.dep(5)) of modules that lie beside them."""
    dependencies, aliases = [], []
    for module in modules:
        needed = " ".join(f"{canonical(name)}.ko" for name in module.depends)
        dependencies.append(f"{module.name}.ko: {needed}".rstrip() + "\n")
        fields = modinfo(module.elf.named(".modinfo"))
        aliases += [f"alias {text} {module.name}\n" for key, text in fields if key == "alias"]
    return {"modules.dep": "".join(dependencies), "modules.alias": "".join(aliases)}


def _named(module: Module, package: Package) -> Iterator[str]:
    for text in _strings(module):
        for prefix in PREFIXES:
            yield from package.asked_for(prefix + text)


def _strings(module: Module) -> set[str]:
    """The strings of its constants, without blanks."""
    names = {name for name in module.elf.section_names if name.startswith(".rodata")}
    contents = (b"\0" + module.elf.named(name) for name in names)
    return {text.decode("ascii") for one in contents for text in STRING.findall(one)}
