"""Places in modules to functions and lines of source: symbol table always, debug info when there.

One way for our own specimens and for anybody's module. addr2line reads the debug info.
"""

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from freeonce.errors import Obstacle, SubjectError
from freeonce.evidence.text import printable
from freeonce.subject.elf import Elf, parse_elf
from freeonce.subject.module import Module
from freeonce.subject.packed import ENDINGS, read_packed
from freeonce.subject.spots import Spot, function_at
from freeonce.subject.tool import ToolFailed, run_tool

ROOT = "/freeonce/"
"""Where the recipes pretend that the project lies, whatever machine builds it."""
USERS = "/freeonce-subject/"
"""In front of a path as a user gave it, in the debug info of what was built for an audit."""
MOST = 10_000
"""Places that are asked for in a module: a ledger may name any number."""
LONGEST = 400
"""Characters of a name from debug info."""


@dataclass(frozen=True)
class Frame:
    """A function that was called, or inlined where it was.

    `offset`: of the return address in it, None when inlined. `module`: empty for the
    kernel. `file`, `line`: None where nothing tells; a file of ours is from the project's root.
    """

    function: str
    offset: int | None = None
    module: str = ""
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        if self.file is not None:
            return f"{self.file}:{self.line}"
        offset = "" if self.offset is None else f"+{self.offset:#x}"
        return f"{self.function}{offset}" + (f" [{self.module}]" if self.module else "")


@dataclass(frozen=True)
class Place:
    """Where a call stands: the frame that a person looks for, and all of them, innermost first.

    `callers`: those of its author's that led there.
    """

    frame: Frame
    frames: tuple[Frame, ...]
    callers: tuple[Frame, ...] = ()

    def __str__(self) -> str:
        return str(self.frame)


@dataclass(frozen=True)
class Source:
    """What tells the places of a module. `debug`: the file with its debug info, if any."""

    module: Module
    debug: Elf | None = field(default=None, repr=False)


Lines = Mapping[Spot, tuple[Frame, ...]]
"""For each place its frame, and before it those that were inlined there."""


def source_of(module: Module, debug_info: Path | None = None) -> Source:
    """Where a module's debug info is: in itself, or in `debug_info`, a file or a folder of files.

    Raises SubjectError `no-symbols` when the file is of another build, or no ELF file.
    """
    if module.has_debug_info:
        return Source(module, module.elf)
    file = _debug_file(module, debug_info)
    if file is None:
        return Source(module)
    debug = parse_elf(read_packed(file))
    note = ".note.gnu.build-id"
    if debug.named(note) != module.elf.named(note):
        message = f"{file} is not the debug info of {module.path}: their build IDs differ"
        raise SubjectError(Obstacle.NO_SYMBOLS, message)
    return Source(module, debug)


def _debug_file(module: Module, debug_info: Path | None) -> Path | None:
    if debug_info is None or not debug_info.is_dir():
        return debug_info
    names = {
        f"{stem}{ending}{debug}"
        for stem in (module.name, module.name.replace("_", "-"), module.path.name.split(".ko")[0])
        for ending in ENDINGS
        for debug in ("", ".debug")
    }
    return next((file for file in sorted(debug_info.rglob("*.ko*")) if file.name in names), None)


def lines_of(
    wanted: Iterable[Spot], sources: Mapping[str, Source]
) -> dict[Spot, tuple[Frame, ...]]:
    """The frames of each place. `sources`: by the module's name.

    Where addr2line is missing or fails, functions and offsets are known all the same.
    """
    found: dict[Spot, tuple[Frame, ...]] = {}
    by_section: dict[tuple[str, int], list[Spot]] = {}
    for spot in set(wanted):
        if spot.module in sources:
            by_section.setdefault((spot.module, spot.section), []).append(spot)
        else:
            found[spot] = (_of_kernel(spot),)
    for (name, section), spots in by_section.items():
        source = sources[name]
        asked = _ask(source, section, [spot.offset for spot in spots])
        for index, spot in enumerate(spots):
            found[spot] = _frames(source, spot, asked[index] if index < len(asked) else ())
    return found


def _of_kernel(spot: Spot) -> Frame:
    name, plus, offset = spot.symbol.rpartition("+0x")
    try:
        return Frame(name, int(offset, 16)) if plus else Frame(spot.symbol)
    except ValueError:
        return Frame(spot.symbol)


def _frames(source: Source, spot: Spot, lines: Sequence[Frame]) -> tuple[Frame, ...]:
    """The symbol table's word on the function, with what the debug info adds to it."""
    function, offset = function_at(source.module.elf, spot.section, spot.offset)
    module = source.module.name
    if not lines:
        return (Frame(function, offset, module),)
    inlined = tuple(Frame(one.function, None, module, one.file, one.line) for one in lines[:-1])
    last = lines[-1]
    # Debug info has Rust's names as people write them.
    return (*inlined, Frame(last.function or function, offset, module, last.file, last.line))


def _ask(source: Source, section: int, offsets: Sequence[int]) -> list[tuple[Frame, ...]]:
    """The frames at each return address of a section by its debug info; nothing without."""
    name = source.module.elf.section_names[section]
    debug = source.debug
    # A name that several sections have would be answered for the first.
    if debug is None or debug.section_names.count(name) != 1:
        return []
    return frames_at(debug, debug.section_names.index(name), offsets)


def frames_at(elf: Elf, section: int, offsets: Sequence[int]) -> list[tuple[Frame, ...]]:
    """What addr2line says of the first MOST return addresses in a section.

    Nothing when it fails. Raises HostError `no-tool`.
    """
    name = elf.section_names[section]
    # What was called stands before the address to which it returns.
    asked = "".join(f"{offset - 1:#x}\n" for offset in offsets[:MOST])
    options = ["--inlines", "--functions", "--demangle", "--addresses", "--section", name]
    with tempfile.NamedTemporaryFile(suffix=".ko") as file:
        file.write(elf.data)
        file.flush()
        try:
            argv = ["addr2line", "--exe", file.name, *options]
            said = run_tool(argv, asked.encode(), package="binutils")
        except ToolFailed:
            return []
    answers = list(parse(printable(said)))
    return answers if len(answers) == len(offsets[:MOST]) else []


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
    if not line.isdigit() or line == "0" or len(line) > 9:
        return None
    name = "" if function == "??" else function[:LONGEST]
    known = file[:LONGEST].removeprefix(ROOT).removeprefix(USERS)
    return Frame(name, None, "", known, int(line))


NOT_LOOKED_FOR = (
    # In its own text, but not its author's: what only hands a call on.
    re.compile(r"(^|/)include/(linux|asm|asm-generic|net|uapi|crypto|drm|trace)/"),
    re.compile(r"(^|/)arch/x86/include/"),
    re.compile(r"/rustlib/|/library/(core|alloc)/"),
    re.compile(r"^guest/rust/src/(pool|physical|kernel)\.rs$"),
)

SCENARIO = re.compile(r"^(guest/.*/)?scenarios/")


def choose(frames: Sequence[Frame]) -> Place | None:
    """The place that a person looks for: the innermost frame that its author wrote.

    That is in a subject's own text, and not one of the kernel's inline functions, Rust's
    library or an allocator of ours. Where there is none: the innermost in its text, or of all.
    Of specimens, ours or a user's, it is the scenario, not the owners that several of them share.
    """
    own = [frame for frame in frames if frame.module]
    scenario = [frame for frame in own if SCENARIO.match(frame.file or "")]
    written = [frame for frame in own if not _hands_on(frame)]
    if authors := scenario or written:
        return Place(authors[0], tuple(frames), tuple(authors[1:]))
    known = own or list(frames)
    return Place(known[0], tuple(frames)) if known else None


def _hands_on(frame: Frame) -> bool:
    return any(pattern.search(frame.file or "") for pattern in NOT_LOOKED_FOR)
