"""What a dying kernel said first, and in which function. Pure; the text is the guest's own."""

import re

FIRST = re.compile(
    r"(BUG: .*|kernel BUG at .*|Oops: .*|general protection fault.*|Kernel panic - .*"
    r"|stack segment: .*|divide error: .*|invalid opcode: .*)"
)
WHERE = re.compile(r"\bRIP: [0-9a-f]{4}:(\S+)(?: (\[\w+\]))?")
LONGEST = 300


def first_words(console: str) -> str:
    """The first line of an oops or panic, with the function that it happened in; "" for none."""
    said = FIRST.search(console)
    if said is None:
        return ""
    where = WHERE.search(console, said.start())
    place = " ".join(filter(None, where.groups())) if where else ""
    return f"{said[1].strip()[:LONGEST]}" + (f"; in {place[:LONGEST]}" if place else "")
