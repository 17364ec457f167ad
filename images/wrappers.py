#!/usr/bin/env python3
"""The wrappers of a kernel's functions, made of guest/instrument/families/families.toml.

Usage: wrappers.py generate FAMILIES SYMVERS INTO [OWN]    writes functions.h and wrappers.c there
       wrappers.py describe FAMILIES SYMVERS BUILT DEST [OWN]   writes families.json
       wrappers.py page FAMILIES                      prints docs/families.md

SYMVERS: the kernel's Module.symvers; only functions that it exports itself get a wrapper. BUILT:
that of the instrument, for the checksums by which the kernel knows the wrappers. OWN: a project's
freeonce.toml, whose `families` are functions more.
"""

import json
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = "freeonce/families/2"
WRAPPER = "freeonce_wrap_"
HOOK = "freeonce_hook_"
PROTOTYPE = re.compile(r"(?P<returns>.*?[ *])(?P<name>\w+)\((?P<parameters>.*)\)")
NAME = re.compile(r"(\w+)$")
WORD = re.compile(r"\w+")
MADE = "/* SPDX-License-Identifier: GPL-2.0 */\n/* By images/wrappers.py, of families.toml. */\n"


@dataclass(frozen=True)
class Function:
    """A line of the table. `number`: its place in it, the same for every kernel."""

    number: int
    family: str
    role: str
    returns: str
    name: str
    parameters: str
    keys: dict[str, Any]

    @property
    def constant(self) -> str:
        """Its number's name in C."""
        return f"FUNCTION_{self.name.upper()}"

    def declared(self, name: str) -> str:
        """A variable of what it returns, or a function like it."""
        return f"{self.returns}{'' if self.returns.endswith('*') else ' '}{name}"

    @property
    def names(self) -> list[str]:
        """Of the parameters."""
        found = (NAME.search(one.strip()) for one in self.parameters.split(","))
        return [one[1] for one in found if one]

    def named(self, exported: dict[str, list[str]]) -> str | None:
        """What this kernel calls it; None: it has none."""
        return next((n for n in (self.name, f"{self.name}_noprof") if n in exported), None)


def tables(families: str, own: str | None, exported: dict[str, list[str]]) -> dict[str, Any]:
    """The families with a project's own functions. Raises ValueError for what cannot be one."""
    table = tomllib.loads(Path(families).read_text())
    if own is None:
        return table
    known = {one.name for one in functions(table)}
    for family, keys in tomllib.loads(Path(own).read_text())["families"].items():
        if family not in table:
            raise ValueError(f"families.{family}: there is no such family: {', '.join(table)}")
        for role in ("acquire", "release"):
            lines = [{"size": "0", **line} if role == "acquire" else line for line in keys[role]]
            for line in lines:
                _possible(function(0, family, role, line), known, exported)
            table[family][role] += lines
        table[family]["includes"] = keys.get("includes", [])
    return table


def _possible(one: Function, known: set[str], exported: dict[str, list[str]]) -> None:
    if one.name in known:
        raise ValueError(f"families.{one.family}: {one.name} has a wrapper already")
    if one.named(exported) is None:
        raise ValueError(f"families.{one.family}: the kernel itself exports no {one.name}")
    known.add(one.name)


def functions(table: dict[str, Any]) -> list[Function]:
    """All lines, in their order."""
    lines = [
        (family, role, line)
        for family, keys in table.items()
        for role in ("acquire", "release")
        for line in keys[role]
    ]
    return [function(number, *line) for number, line in enumerate(lines, 1)]


def function(number: int, family: str, role: str, line: dict[str, Any]) -> Function:
    """Raises ValueError for a line that is no prototype."""
    found = PROTOTYPE.fullmatch(line["is"])
    if not found:
        raise ValueError(f"families.toml: {line['is']!r} is no prototype")
    return Function(
        number,
        family,
        line.get("role", role),
        found["returns"].strip(),
        found["name"],
        found["parameters"],
        line,
    )


def exports(symvers: Path) -> dict[str, list[str]]:
    """Columns by symbol: checksum, symbol, module, kind of export."""
    rows = (line.split("\t") for line in symvers.read_text().splitlines())
    return {row[1]: row for row in rows}


def of_kernel(symvers: Path) -> dict[str, list[str]]:
    """Likewise what the kernel itself exports: for others the instrument would need a module."""
    return {name: row for name, row in exports(symvers).items() if row[2] == "vmlinux"}


def acquire(one: Function, name: str) -> str:
    """A wrapper that takes."""
    keys = one.keys
    size = keys["size"]
    said_no = keys.get("fails", "NULL")
    flags = next((n for n in one.names if n == "flags"), None)
    fields = [f".size = {size}"]
    fields += [f".address = (unsigned long)({keys.get('handle', 'result')})"]
    fields += [f".align = {keys['align']}"] if "align" in keys else []
    fields += [f".cache = (unsigned long){keys['cache']}"] if "cache" in keys else []
    fields += [".exact = true"] if keys.get("exact") else []
    taken = keys.get("taken", "!IS_ERR_OR_NULL((void *)result)")
    error = "result" if "taken" in keys else "PTR_ERR_OR_ZERO((void *)result) ?: -ENOMEM"
    told = [f"take.{field[1:]};" for field in fields]
    if "copied" in keys:
        told.insert(1, f"result = guarded_copy(&take, result, {keys['copied']});")
    if "passes" in keys:
        told.insert(0, f"if ({keys['passes']})\n\t\t\treturn result;")
    call = f"({name})({keys.get('call', ', '.join(one.names))})"
    if "guarded" in keys:
        call = f"guarded_alloc(&take, {keys['guarded']}) ?: {call}"
    asked = "0" if "result" in size else size
    return f"""
{one.declared(WRAPPER + name)}({one.parameters})
{{
	struct acquisition take = ACQUISITION({one.constant}, {one.family.upper()});
	{one.declared("result")} = {said_no};

	if (may_acquire(&take, {flags or "0"}))
		result = {call};
	if ({taken}) {{
		{(chr(10) + chr(9) * 2).join(told)}
		acquired(&take);
	}} else {{
		take.size = {asked};
		not_acquired(&take, {error});
	}}
	return result;
}}
"""


def release(one: Function, name: str, null: bool) -> str:
    """A wrapper that gives back."""
    keys = one.keys
    fields = [f".address = (unsigned long)({keys.get('handle', one.names[0])})"]
    fields += [f".size = {keys['size']}"] if "size" in keys else []
    fields += [f".cache = (unsigned long){keys['cache']}"] if "cache" in keys else []
    fields += [".exact = true"] if keys.get("exact") else []
    fields += [".null_is_right = true"] if keys.get("null", null) else []
    told = "\n".join(f"\tgive.{field[1:]};" for field in fields)
    skip = f"{keys['passes']} || " if "passes" in keys else ""
    call = f"({name})({keys.get('call', ', '.join(one.names))})"
    # A release that is withheld is told to have gone well, as the kernel's own mostly does.
    done = call if one.returns == "void" else f"return {call}"
    withheld = "" if one.returns == "void" else "\treturn 0;\n"
    return f"""
{one.declared(WRAPPER + name)}({one.parameters})
{{
	struct release give = RELEASE({one.constant}, {one.family.upper()});

{told}
	if ({skip}may_release(&give))
		{done};
{withheld}}}
"""


def wrapper(one: Function, name: str, row: list[str], null: bool) -> str:
    """Its code, proof that it has the prototype of what it stands for, and its export."""
    code = acquire(one, name) if one.role == "acquire" else release(one, name, null)
    same = f"static_assert(__same_type({WRAPPER}{name}, {name}));\n"
    return f"{code}{same}{row[3]}({WRAPPER}{name});\n"


def generate(families: str, symvers: str, into: str, own: str | None = None) -> None:
    """The C of them."""
    exported = of_kernel(Path(symvers))
    table = tables(families, own, exported)
    every = functions(table)
    found = [(one, name) for one in every if (name := one.named(exported))]
    hand = [(one, name) for one, name in found if "hand" in one.keys]
    plain = [(one, name) for one, name in found if "hand" not in one.keys]
    lines = ["enum function {", *(f"\t{one.constant} = {one.number}," for one in every), "};", ""]
    lines += ["/* Written by hand: the name that this kernel has, and the wrapper's. */"]
    for one, name in hand:
        lines += [f"#define KERNEL_{one.name.upper()} {name}"]
        lines += [f"#define WRAP_{one.name.upper()} {WRAPPER}{name}"]
    lines += [""]
    lines += [
        f"#define {family.upper()}_RELEASED_BY ({mask})"
        for family, keys in table.items()
        if (mask := " | ".join(f"BIT(FAMILY_{by.upper()})" for by in keys["released_by"]))
    ]
    declared = [f"{o.declared(WRAPPER + n)}({o.parameters});" for o, n in plain]
    folder = Path(into)
    (folder / "functions.h").write_text(MADE + "\n".join(lines) + "\n")
    (folder / "wrappers.c").write_text(
        MADE
        + "".join(
            f"#include <{one}>\n" for keys in table.values() for one in keys.get("includes", ())
        )
        + '#include "families/wrap.h"\n\n'
        + "\n".join(declared)
        + "\n"
        + "".join(wrapper(o, n, exported[n], table[o.family]["null_release"]) for o, n in plain)
    )


def describe(families: str, symvers: str, built: str, dest: str, own: str | None = None) -> None:
    """What the host redirects to what."""
    exported, wrappers = of_kernel(Path(symvers)), exports(Path(built))
    table = tables(families, own, exported)
    document = {
        "schema": SCHEMA,
        "families": [
            {"number": keys["number"], "name": name, "released_by": keys["released_by"]}
            | {"null_release": keys["null_release"]}
            for name, keys in table.items()
        ],
        "functions": [
            {"number": one.number, "name": name, "wrapper": WRAPPER + name}
            | {"crc": wrappers[WRAPPER + name][0], "family": one.family, "role": one.role}
            for one in functions(table)
            if (name := one.named(exported))
        ],
        "hooks": [
            {"of": name.removeprefix(HOOK), "name": name, "crc": row[0]}
            for name, row in wrappers.items()
            if name.startswith(HOOK)
        ],
    }
    Path(dest).write_text(json.dumps(document, indent=1) + "\n")


HEAD = """\
# Families

What an audit judges, made of [families.toml](../guest/instrument/families/families.toml) by
`images/wrappers.py page`. A family is a kind of resource, with the functions that acquire and
release it. A call of each of these, in a module under audit, goes to a wrapper. A name stands
for that of kernels since 6.10 too, with `_noprof` behind it; a function that the guest's kernel
does not export itself has no wrapper there. Of what else a module calls, the report lists as not
audited what looks like an acquisition by its name.

Tests are modules of `tests/modules`, each run through a life of its own. A function is said to be
in none when no source there has its name; a macro or an inline function may still call it.

"""
ROLES = {
    "acquire": "acquired by",
    "release": "released by",
    "defer": "released later by",
    "resize": "resized by",
    "measure": "measured by",
}


MODULES = Path(__file__).resolve().parents[1] / "tests/modules"


def tests() -> dict[str, set[str]]:
    """By the name of each test module the words of its source, and of what that includes."""
    headers = {file.name: file.read_text() for file in MODULES.glob("*.h")}
    found = {}
    for file in sorted(MODULES.glob("*.c")):
        text = file.read_text()
        included = (more for name, more in headers.items() if f'"{name}"' in text)
        found[file.stem] = set(WORD.findall("\n".join((text, *included))))
    return found


def tested(family: str, every: list[Function], sources: dict[str, set[str]]) -> list[str]:
    """Which tests there are of a family, and of which of its functions there is none."""
    mine = [one for one in every if one.family == family]
    # Macros leave the underscores out.
    takes = {one.name.lstrip("_") for one in mine if one.role == "acquire"}
    clean = [name for name, words in sources.items() if name[:6] == "clean_" and words & takes]
    faults = [name for name in sources if name.split("_")[0] in (family, f"{family}s")]
    words = set().union(*sources.values())
    without = [one.name for one in mine if not {one.name, one.name.lstrip("_")} & words]
    lines = {"planted faults": faults, "clean": clean, "in no test": without}
    return [
        f"- {what}: {', '.join(f'`{one}`' for one in names)}"
        for what, names in lines.items()
        if names
    ]


def page(families: str) -> None:
    """The page for users."""
    table = tomllib.loads(Path(families).read_text())
    every = functions(table)
    sources = tests()
    parts = [HEAD + f"{len(every)} functions in {len(table)} families.\n"]
    for name, keys in table.items():
        others = [by for by in keys["released_by"] if by != name]
        lines = [f"## {name}\n\n{keys['about']}\n"]
        for role, words in ROLES.items():
            named = [f"`{one.name}`" for one in every if (one.family, one.role) == (name, role)]
            if named:
                lines.append(f"- {words} {', '.join(named)}")
        if others:
            lines.append(f"- also by the functions of {', '.join(others)}")
        null = "nothing happens" if keys["null_release"] else "a `null-free`"
        lines.append(f"- released null: {null}")
        lines += tested(name, every, sources)
        parts.append("\n".join(lines) + "\n")
    print("\n".join(parts), end="")


def main(*words: str) -> None:
    """Raises ValueError for a table that cannot be."""
    match words:
        case ["generate", families, symvers, into, *own]:
            generate(families, symvers, into, *own)
        case ["describe", families, symvers, built, dest, *own]:
            describe(families, symvers, built, dest, *own)
        case ["page", families]:
            page(families)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ValueError as error:
        sys.exit(f"{error}")
