"""Bytes of the guest to text that is safe to print. Pure."""


def printable(raw: bytes | str, allowed: str = "\n\t") -> str:
    """The text without control characters, but for those allowed: line breaks and tabs.

    A guest must not move the user's cursor, nor spoil an XML report.
    """
    text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
    return "".join(c for c in text if c in allowed or c.isprintable())
