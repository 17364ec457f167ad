"""What a guest said, in a log that others read too. Pure."""

import re

COMMAND = re.compile(r"##(?=[\w.-]*\[)")


def quoted(text: str) -> str:
    """Each line with who said it in front, and nothing in it that a CI runner obeys.

    GitHub's runner takes `::name::` at the start of a line, behind blanks too, and `##[name]`
    wherever it stands; Azure's takes `##vso[name]`, TeamCity's `##teamcity[name]`.
    """
    return "\n".join(f"guest: {harmless(line)}" for line in text.splitlines())


def harmless(line: str) -> str:
    """A line that begins otherwise already, without what is obeyed wherever it stands."""
    return COMMAND.sub(r"\\x23#", line)
