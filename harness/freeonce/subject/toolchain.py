"""What builds modules against a kernel's headers on this host, and of which version."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from freeonce.deadline import patience
from freeonce.errors import HostError
from freeonce.subject.build import Headers, run_make
from freeonce.subject.tool import ToolFailed, run_tool

TOOLS = {"CC": "gcc", "LD": "binutils"}
"""By kbuild's names, and Debian's packages of them."""
ASKED = ("CROSS_COMPILE", "LLVM")
"""Of the environment, which make takes them from (Documentation/kbuild/kbuild.rst)."""
KBUILD = "$(info freeonce: {} = $({}))\n"
SECONDS = 60.0


def tools_of(headers: Headers, scratch: Path) -> Mapping[str, str]:
    """What kbuild calls: the headers of a package name a compiler of their own.

    `scratch`: an empty folder. Raises HostError `no-tool` for what is not installed, or says
    nothing of it.
    """
    (scratch / "Kbuild").write_text("".join(KBUILD.format(one, one) for one in TOOLS))
    argv = ["make", "-s", *headers.arguments, f"M={scratch}", "modules"]
    try:
        _, words = run_make(argv, str(scratch), SECONDS * patience())
    except subprocess.TimeoutExpired as error:
        raise HostError("no-tool", f"make said nothing for {error.timeout:g} s") from error
    said = words.decode("utf-8", "replace")
    found = dict(re.findall(r"^freeonce: (\w+) = +(\S.*)$", said, re.MULTILINE))
    if missing := TOOLS.keys() - found.keys():
        why = f"make does not tell {' and '.join(sorted(missing))}: {said.strip()[-500:]}"
        raise HostError("no-tool", why)
    return found


def versions_of(tools: Mapping[str, str]) -> dict[str, str]:
    """The first line that each says of itself, behind its name here. Raises HostError `no-tool`."""
    return {tool: _version(word, TOOLS[tool]) for tool, word in tools.items()}


def _version(word: str, package: str) -> str:
    program = word.rsplit(maxsplit=1)[-1]
    try:
        said = run_tool([program, "--version"], package=package).decode("utf-8", "replace")
    except ToolFailed as error:
        raise HostError("no-tool", f"{program} tells no version: {error}") from error
    return f"{word}: {said.partition(chr(10))[0]}"
