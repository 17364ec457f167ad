"""What a dying kernel said first, and in which function. Pure; the text is the guest's own."""

import re
from collections.abc import Sequence
from itertools import dropwhile, takewhile

FIRST = re.compile(
    r"BUG: .*|kernel BUG at .*|Oops: .*|general protection fault.*|Kernel panic - .*"
    r"|stack segment: .*|divide error: .*|invalid opcode: .*"
)
WHERE = re.compile(r"\bRIP: [0-9a-f]{4}:(\S+)(?: (\[\w+\]))?")
LONGEST = 300
SHORT = 12
"""Lines that are told whole."""
CALLS = 8
"""Of a call trace, so many: the innermost."""
TRACE = re.compile(r"\bCall Trace:\s*$")
CALL = re.compile(r"\s([\w.]+\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[\w+\])?)$")


def first_words(console: str) -> str:
    """The first line of an oops or panic, with the function that it happened in; "" for none."""
    said = FIRST.search(console)
    if said is None:
        return ""
    where = WHERE.search(console, said.start())
    place = " ".join(filter(None, where.groups())) if where else ""
    return f"{said[0].strip()[:LONGEST]}" + (f"; in {place[:LONGEST]}" if place else "")


def shortened(said: str) -> str:
    """What a reader needs of a reason in which a console stands: for a terminal.

    Of more than SHORT lines: the reason itself, what the kernel said first, with its function,
    the innermost calls, and the last line.
    """
    reason, *console = said.split("\n")
    first = first_words("\n".join(console))
    if len(console) <= SHORT or not first:
        return said
    calls = _calls(console)
    trace = ["guest: Call Trace:", *(f"guest:  {call}" for call in calls)] if calls else []
    shown = [f"guest: {first}", *trace, console[-1]]
    left = f"({len(console)} lines of the console; --json and --html have them)"
    return "\n".join([reason, *shown, left])


def _calls(console: Sequence[str]) -> list[str]:
    """The functions of the first call trace, without those that the kernel is not sure of."""
    traced = dropwhile(lambda line: not TRACE.search(line), console)
    until = takewhile(lambda line: "</TASK>" not in line and "RIP: 0033" not in line, traced)
    called = [call[1] for line in until if " ? " not in line and (call := CALL.search(line))]
    return called[:CALLS]
