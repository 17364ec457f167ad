"""What a terminal shows of a dying kernel's console: its first words, where, and who called."""

import pytest

from freeonce.evidence.oops import first_words, shortened

NULL = "BUG: kernel NULL pointer dereference, address: 0000000000000008"
OOPS = f"""\
guest: [    7.141424] RIP: 0010:before+0x1/0x2
guest: [    7.141424] fine so far
guest: [    7.141424] {NULL}
guest: [    7.141424] Oops: 0002 [#1] PREEMPT SMP NOPTI
guest: [    7.141424] RIP: 0010:fill+0x5/0x11 [fail_crash]
guest: [    7.141424] RIP: 0033:0x7f00
"""


def test_an_oops_is_told_by_its_first_line_and_its_function() -> None:
    assert first_words(OOPS) == f"{NULL}; in fill+0x5/0x11 [fail_crash]"
    assert first_words(OOPS.replace(" [fail_crash]", "")) == f"{NULL}; in fill+0x5/0x11"
    assert first_words("nothing at all") == ""


@pytest.mark.parametrize(
    "line",
    [
        NULL,
        "kernel BUG at mm/slub.c:1!",
        "Oops: 0002 [#1] PREEMPT SMP NOPTI",
        "general protection fault, probably for non-canonical address 0x1: 0000 [#1]",
        "Kernel panic - not syncing: x",
        "stack segment: 0000 [#1]",
        "divide error: 0000 [#1]",
        "invalid opcode: 0000 [#1]",
    ],
)
def test_a_kernel_dies_in_these_words(line: str) -> None:
    assert first_words(f"[    7.1] fine\n[    7.2] {line}\n[    7.3] more") == line


def test_what_a_guest_says_has_an_end() -> None:
    said = first_words(f"BUG: {'x' * 10_000}\nRIP: 0010:{'y' * 10_000}")
    assert said == f"BUG: {'x' * 295}; in {'y' * 300}"


REASON = "the guest was lost (panic): it stopped; the console's last lines:"
FIRST = "Oops: 0002 [#1] PREEMPT SMP NOPTI; in fill+0x5/0x11 [fail_crash]"
HEAD = [
    "Oops: 0002 [#1] PREEMPT SMP NOPTI",
    "RIP: 0010:fill+0x5/0x11 [fail_crash]",
    "Workqueue: events before+0x1/0x2",
    *(f"R{number}: 0" for number in range(12)),
]


def shown(*lines: str) -> list[str]:
    """What is left of an oops with these lines behind its registers, between its first words and
    the panic.
    """
    console = [f"guest: [    7.1] {line}" for line in (*HEAD, *lines, "Kernel panic - not syncing")]
    reason, first, *found, last, left = shortened("\n".join([REASON, *console])).split("\n")
    assert (reason, first, last) == (REASON, f"guest: {FIRST}", console[-1])
    assert left == f"({len(console)} lines of the console; --json and --html have them)"
    return found


def test_of_a_long_console_a_terminal_gets_what_matters() -> None:
    trace = [
        "Call Trace:",
        " <TASK>",
        " ? sure_of_nothing+0x1/0x2",
        " load+0x10/0x20 [fail_crash]",
        " do_one_initcall.cold+0x53/0x200",
        " </TASK>",
        " not_of_it+0x1/0x2",
    ]
    assert shown(*trace) == [
        "guest: Call Trace:",
        "guest:  load+0x10/0x20 [fail_crash]",
        "guest:  do_one_initcall.cold+0x53/0x200",
    ]


def test_without_a_trace_there_are_no_calls() -> None:
    assert shown() == []
    assert shown("Call Trace:", " ? sure_of_nothing+0x1/0x2") == []


def test_calls_end_where_the_user_s_program_begins() -> None:
    trace = ["Call Trace:", " one+0x1/0x2", "RIP: 0033:0x7f00", " two+0x1/0x2"]
    assert shown(*trace)[1:] == ["guest:  one+0x1/0x2"]


def test_the_innermost_eight_calls_are_shown() -> None:
    trace = [f" call{number}+0x1/0x2" for number in range(9)]
    assert shown("Call Trace:", *trace)[1:] == [f"guest: {call}" for call in trace[:8]]


@pytest.mark.parametrize("lines", [0, 1, 12, 52])
def test_what_is_short_or_no_oops_is_told_whole(lines: int) -> None:
    said = "\n".join([REASON, *(f"guest: {number}" for number in range(lines))])
    assert shortened(said) == said


@pytest.mark.parametrize(("lines", "whole"), [(11, True), (12, True), (13, False)])
def test_an_oops_of_twelve_lines_is_told_whole(lines: int, whole: bool) -> None:
    said = "\n".join([REASON, *(f"guest: {number}" for number in range(lines - 1)), NULL])
    assert (shortened(said) == said) == whole
