"""Bytes of the guest to text that is safe to print. Pure.

A guest must not move the user's cursor, speak to whoever reads a log, nor spoil an XML report.
What cannot be shown is shown as an escape: it must not vanish either.
"""

import re

LINES = "\n\t"
LINE_END = re.compile(r"\r+(?=\n|\Z)")
LOG_COMMAND = re.compile(r"(?<!\S):(?=:\w)|#(?=#[\w.-]*\[)")
"""Begins what a CI runner takes for a command: GitHub's `::name` at the start of a line, where any
word may stand once lines are wrapped; GitHub's `##[name]`, Azure's `##vso[name]` and TeamCity's
`##teamcity[name]` anywhere."""


def printable(raw: bytes | str, allowed: str = LINES) -> str:
    """The text with escapes for all that cannot be shown, but for what is allowed.

    Where line feeds are allowed, a carriage return before one or at the end is part of it.
    Bytes that are no UTF-8 are escapes as well.
    """
    text = raw if isinstance(raw, str) else raw.decode("utf-8", "backslashreplace")
    if "\n" in allowed:
        text = LINE_END.sub("", text)
    if not text.isprintable():
        text = "".join(c if c in allowed or c.isprintable() else _escape(c) for c in text)
    return LOG_COMMAND.sub(lambda mark: f"\\x{ord(mark[0]):x}", text)


def one_line(raw: bytes | str) -> str:
    """Likewise of a name or a label, in which a line feed is an escape too."""
    return printable(raw, allowed="")


def without_controls(text: str, allowed: str) -> str:
    """The text without what cannot be shown: for a terminal on which somebody works."""
    return "".join(c for c in text if c in allowed or c.isprintable())


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()
