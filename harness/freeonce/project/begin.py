"""A project that works at once: files of `new/`, with what was asked for."""

from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from freeonce import __version__
from freeonce.errors import UsageError

FILES = Path(__file__).with_name("new")
PARTS = ("rust", "c", "module")


def begin(folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    """Write a project's files, and tell each. `parts`: of PARTS, those that it begins with.

    Raises UsageError, before anything is written, for a folder that has one of them.
    """
    words = {
        "name": folder.resolve().name,
        "scenarios": "rust" in parts or "c" in parts,
        "module": "module" in parts,
        "version": __version__,
    }
    # Only the parts that all have differ by what was asked for; of C, braces are braces.
    files = {**_of("common"), **{name: file for part in parts for name, file in _of(part).items()}}
    for name in files:
        if (folder / name).exists():
            raise UsageError(f"{folder / name} is there already; give a new folder")
    environment = Environment(
        undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
    )
    for name, file in files.items():
        text = file.read_text()
        if file.is_relative_to(FILES / "common"):
            text = environment.from_string(text).render(words)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        yield folder / name


def _of(part: str) -> dict[str, Path]:
    """The files of a part, by their paths in a project."""
    place = FILES / part
    files = (file for file in sorted(place.rglob("*")) if file.is_file())
    # Who installs a wheel compiles all Python in it, these files too.
    return {str(one.relative_to(place)): one for one in files if one.suffix != ".pyc"}
