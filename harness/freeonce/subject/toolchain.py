"""What builds modules against a kernel's headers on this host, and of which version."""

import os
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from freeonce.deadline import patience
from freeonce.errors import HostError
from freeonce.subject.build import Headers, run_make
from freeonce.subject.tool import ToolFailed, run_tool

TOOLS = {"CC": "gcc", "LD": "binutils"}
"""By kbuild's names, and Debian's packages of them."""
KBUILD = "$(info freeonce: {} = $({}))\n"
SECONDS = 60.0


def tool_versions(headers: Headers) -> dict[str, str]:
    """The first line that compiler and linker say of themselves, behind their names here.

    Raises HostError `no-tool` for what is not installed, or does not work.
    """
    words = _words(headers.headers, headers.source, *_asked_for())
    return {tool: _version(word, TOOLS[tool]) for tool, word in words.items()}


def _asked_for() -> tuple[str, str]:
    """Of the environment, which make takes them from (Documentation/kbuild/kbuild.rst)."""
    return os.environ.get("CROSS_COMPILE", ""), os.environ.get("LLVM", "")


@cache
def _words(headers: Path, source: Path | None, *_: str) -> Mapping[str, str]:
    """What kbuild calls: the headers of a package name a compiler of their own."""
    arguments = Headers(headers, source).arguments
    with TemporaryDirectory() as folder:
        (Path(folder) / "Kbuild").write_text("".join(KBUILD.format(one, one) for one in TOOLS))
        argv = ["make", "-s", *arguments, f"M={folder}", "modules"]
        try:
            _, told = run_make(argv, folder, SECONDS * patience())
        except subprocess.TimeoutExpired as error:
            raise HostError("no-tool", f"make said nothing for {error.timeout:g} s") from error
    said = told.decode("utf-8", "replace")
    found = dict(re.findall(r"^freeonce: (\w+) = +(\S.*)$", said, re.MULTILINE))
    if missing := TOOLS.keys() - found.keys():
        why = f"make does not tell {' and '.join(sorted(missing))}: {said.strip()[-500:]}"
        raise HostError("no-tool", why)
    return found


def _version(word: str, package: str) -> str:
    program = word.rsplit(maxsplit=1)[-1]
    try:
        said = run_tool([program, "--version"], package=package).decode("utf-8", "replace")
    except ToolFailed as error:
        raise HostError("no-tool", f"{program} tells no version: {error}") from error
    return f"{word}: {said.partition(chr(10))[0]}"
