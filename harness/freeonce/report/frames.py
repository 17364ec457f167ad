"""Frames of a stack, for people and for programs. Pure."""

from collections.abc import Sequence
from dataclasses import asdict

from freeonce.subject.places import Frame


def described(frame: Frame) -> str:
    """Function, offset and module, and the line where it is known."""
    offset = "" if frame.offset is None else f"+{frame.offset:#x}"
    module = f" [{frame.module}]" if frame.module else ""
    line = f" {frame.file}:{frame.line}" if frame.file else ""
    return f"{frame.function}{offset}{module}{line}"


def frames_document(frames: Sequence[Frame]) -> list[dict[str, object]]:
    """Each without what it does not say."""
    return [{key: value for key, value in asdict(one).items() if value} for one in frames]
