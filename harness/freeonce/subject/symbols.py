"""Offsets in the module's text to lines of source, from the debug info that the image keeps.

The kernel lays a module's executable sections one after another, in the order of the file,
each at its alignment (kernel/module/main.c, layout_sections). addr2line reads the debug info.
"""

import subprocess
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from freeonce.deadline import Deadline
from freeonce.errors import HostError

ROOT = "/freeonce/"
"""Where the recipes pretend that the project lies, whatever machine builds it."""
SCENARIOS = "/scenarios/"
SHIMS = ("guest/rust/src/pool.rs", "guest/rust/src/physical.rs", "guest/rust/src/kernel.rs")
"""They only hand a call on."""
SECONDS = 60.0
MOST = 10_000
"""Sites that one run asks for: a ledger may name any number."""


@dataclass(frozen=True)
class Frame:
    """A function that was inlined or called. `file`: from the project's root if it is ours."""

    file: str
    line: int
    function: str


@dataclass(frozen=True)
class Place:
    """Where a call stands: the frame that a person looks for, and all of them, innermost first."""

    frame: Frame
    frames: tuple[Frame, ...]

    def __str__(self) -> str:
        return f"{self.frame.file}:{self.frame.line}"


@dataclass(frozen=True)
class _Section:
    start: int
    size: int
    name: str


def places(module: Path, sites: Iterable[int]) -> dict[int, Place]:
    """The place of each site that has one. `sites`: return addresses, from the text's begin.

    Raises HostError `no-symbols` when the module's debug info cannot be read.
    """
    wanted: dict[str, dict[int, int]] = {}
    sections = _layout(module)
    starts = [one.start for one in sections]
    for site in sorted(set(sites))[:MOST]:
        # What was called stands before the address to which it returns.
        index = bisect_right(starts, site - 1) - 1
        if site and index >= 0 and site - 1 < sections[index].start + sections[index].size:
            wanted.setdefault(sections[index].name, {})[site] = site - 1 - sections[index].start
    found = {}
    for name, offsets in wanted.items():
        asked = _ask(module, name, offsets.values())
        for site, frames in zip(offsets, asked, strict=True):
            if place := choose(frames):
                found[site] = place
    return found


def _layout(module: Path) -> list[_Section]:
    """The module's executable sections where the kernel puts them."""
    # Here, not above: loading these must not keep the first verdict waiting.
    from elftools.common.exceptions import ELFError  # noqa: PLC0415
    from elftools.elf.constants import SH_FLAGS  # noqa: PLC0415
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415

    code = SH_FLAGS.SHF_ALLOC | SH_FLAGS.SHF_EXECINSTR
    sections = []
    end = 0
    try:
        with module.open("rb") as file:
            for one in ELFFile(file).iter_sections():
                if one["sh_flags"] & code != code or one.name.startswith(".init"):
                    continue
                start = -(-end // max(one["sh_addralign"], 1)) * max(one["sh_addralign"], 1)
                end = start + one["sh_size"]
                sections.append(_Section(start, one["sh_size"], one.name))
    except (OSError, ELFError) as error:
        raise HostError("no-symbols", f"cannot read {module}: {error}") from error
    return [one for one in sections if one.size]


def _ask(module: Path, section: str, offsets: Iterable[int]) -> Iterator[tuple[Frame, ...]]:
    """The frames at each offset of a section."""
    command = ["addr2line", "--exe", str(module), "--section", section]
    command += ["--inlines", "--functions", "--demangle", "--addresses"]
    asked = "".join(f"{offset:#x}\n" for offset in offsets)
    seconds = Deadline(SECONDS, "addr2line").left()
    try:
        done = subprocess.run(
            command, input=asked, capture_output=True, text=True, check=True, timeout=seconds
        )
    except FileNotFoundError as error:
        raise HostError("no-symbols", "addr2line is not installed; it is in binutils") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise HostError("no-symbols", f"addr2line does not read {module}: {error}") from error
    return parse(done.stdout)


def parse(said: str) -> Iterator[tuple[Frame, ...]]:
    """What addr2line says: for each address a line with it, then function and FILE:LINE by turns.

    Frames without a known line are left out.
    """
    for block in f"\n{said}".split("\n0x")[1:]:
        lines = block.splitlines()[1:]
        pairs = zip(lines[::2], lines[1::2], strict=False)
        yield tuple(frame for frame in map(_frame, pairs) if frame)


def _frame(pair: tuple[str, str]) -> Frame | None:
    function, place = pair
    # Some lines end in " (discriminator 3)".
    file, _, line = place.split(" (")[0].rpartition(":")
    if not line.isdigit() or line == "0":
        return None
    return Frame(file.removeprefix(ROOT), int(line), function)


def choose(frames: Sequence[Frame]) -> Place | None:
    """The frame of a scenario if there is one, else the innermost that is no shim of ours."""
    ours = [frame for frame in frames if not frame.file.startswith("/")]
    for good in (
        [frame for frame in ours if SCENARIOS in frame.file],
        [frame for frame in ours if frame.file not in SHIMS],
        ours,
        frames,
    ):
        if good:
            return Place(good[0], tuple(frames))
    return None
