"""What the last runs left open: scenarios not as expected, and those that were planned and not run.

A scenario stays open until a run sees it as expected, whatever else runs meanwhile, or until
the guest has none of that name.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from freeonce.errors import HostError, UsageError
from freeonce.project import cache, sources
from freeonce.project.chosen import project

SCHEMA = "freeonce/open/1"


def last_file() -> Path:
    """Of the project that we stand in, in the user's cache; else of the images that are used."""
    ours = project()
    if ours is None:
        return cache.builds() / "open.json"
    name = sources.digest_of(words=(str(ours.folder.resolve()),))
    return cache.home() / "open" / f"{name}.json"


def left_open(file: Path) -> tuple[str, ...]:
    """Their names, sorted. Raises UsageError when nothing has run yet, or nobody knows what."""
    try:
        document = json.loads(file.read_text())
        names = document["open"] if document["schema"] == SCHEMA else None
        if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
            raise ValueError("it is not what freeonce writes")
    except FileNotFoundError as error:
        raise UsageError("nothing was run here yet; run without --rerun-failed first") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"cannot tell what the last run left open, by {file}: {error}"
        raise UsageError(f"{message}; run without --rerun-failed") from error
    return tuple(sorted(names))


@dataclass(frozen=True)
class News:
    """What a run says of scenarios. `known`: all that the guest has; `failed`: those of the planned
    that were not seen to be as expected.
    """

    known: frozenset[str]
    planned: frozenset[str]
    failed: frozenset[str]

    def still_open(self, before: Iterable[str]) -> frozenset[str]:
        """After it. What the guest has no more can never be seen as expected."""
        return ((frozenset(before) - self.planned) | self.failed) & self.known


def keep_open(file: Path, news: News) -> None:
    """Write them, by one rename; of another run at the same time only what this one saw is changed.

    Raises HostError `cannot-write`.
    """
    scratch = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        # A lock of its own: who makes images holds the folder's for minutes.
        with cache.locked(file.parent, f".{file.name}.lock"):
            names = sorted(news.still_open(_before(file)))
            scratch.write_text(json.dumps({"schema": SCHEMA, "open": names}) + "\n")
            scratch.rename(file)
    except OSError as error:
        message = f"--rerun-failed will not know of this run: {file}: {error.strerror}"
        raise HostError("cannot-write", message) from error


def _before(file: Path) -> tuple[str, ...]:
    try:
        return left_open(file)
    except UsageError:
        return ()
