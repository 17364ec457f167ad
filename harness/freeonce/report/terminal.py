"""The report for a terminal: one table by section, findings in words, the answer."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from freeonce.audit.faults import Planted, rate
from freeonce.audit.model import Verdict
from freeonce.audit.result import Result
from freeonce.evidence.oops import shortened
from freeonce.report.answer import QUESTION, answer
from freeonce.report.lines import put
from freeonce.report.places import NOWHERE, Everywhere, where
from freeonce.report.words import expected_words, sentence

MOST_SHOWN = 50
"""Findings of one run that a terminal shows, and reasons: nobody reads more of them there."""

STYLES = {
    Verdict.CLEAN: "green",
    Verdict.FAULTY: "red",
    Verdict.INCOMPLETE: "yellow",
    Verdict.UNSUPPORTED: "blue",
}

One = TypeVar("One")

VERDICT_WIDTH = len(f"{Verdict.UNSUPPORTED} !")


def environment_lines(host: Mapping[str, str]) -> list[str]:
    """What the run ran on, and why."""
    return [
        f"QEMU {host['qemu']}, {host['accelerator']}: {host['reason']}",
        f"guest kernel {host['kernel']}, Rust {host['rust']}",
    ]


def _verdict(result: Result) -> Text:
    verdict = result.judgement.verdict
    # The mark stands without colour too; the line below it says what was expected.
    return Text(f"{verdict}{'' if result.as_expected else ' !'}", style=STYLES[verdict])


def _words(result: Result, places: Everywhere) -> list[Text]:
    """What a reader should know beyond the verdict, a line each."""
    judgement = result.judgement
    lines = [Text(result.scenario.lesson, style="dim"), *found_lines(result, places)]
    # What is incomplete was not seen, so that only a loss can be other than expected.
    seen = judgement.verdict is not Verdict.INCOMPLETE or result.scenario.ends is not None
    if not result.as_expected and seen:
        lines.append(Text(f"! expected: {expected_words(result.scenario)}", style="bold yellow"))
    return lines


def found_lines(result: Result, places: Everywhere) -> list[Text]:
    """The findings, the first of them at least, each with its places, and the reasons."""
    lines = []
    findings, rest = shown(result.judgement.findings, lambda one: one.rule, result.why.__contains__)
    for finding in findings:
        words = sentence(finding, result.why.get(finding))
        lines.append(Text.assemble((f"{finding.rule}: ", "bold"), words))
        lines += [Text(f"    {said}", style="dim") for said in where(finding, places.of(result))]
    reasons = result.judgement.reasons
    lines += [*rest, *(Text(shortened(reason)) for reason in reasons[:MOST_SHOWN])]
    if len(reasons) > MOST_SHOWN:
        lines.append(Text(f"and {len(reasons) - MOST_SHOWN} more reasons (--json tells all)"))
    return lines


def shown(
    findings: Sequence[One], rule: Callable[[One], str], excused: Callable[[One], bool]
) -> tuple[list[One], list[Text]]:
    """The findings for a terminal, and a line for the rest if there are more.

    Then those that are not `excused` come first, and of these the first of each rule.
    """
    if len(findings) <= MOST_SHOWN:
        return list(findings), []
    first: dict[str, One] = {}
    for one in sorted(findings, key=excused):
        first.setdefault(rule(one), one)
    ordered = sorted(findings, key=lambda one: (excused(one), first[rule(one)] is not one))
    rest = Counter(rule(one) for one in ordered[MOST_SHOWN:])
    words = ", ".join(f"{count} {name}" for name, count in rest.items())
    line = f"and {rest.total()} more findings: {words} (--json tells all)"
    return ordered[:MOST_SHOWN], [Text(line)]


@dataclass(frozen=True)
class _Row:
    """One line of the table; two where the name needs the first to itself.

    Each for itself, so that what follows may take the whole width.
    """

    name: Text
    allocations: str
    releases: str
    verdict: Text

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        counts = f" {self.allocations:>6} {self.releases:>5} "
        room = options.max_width - len(counts) - VERDICT_WIDTH
        name = self.name.copy()
        if name.cell_len > room:
            yield name
            name = Text()
        name.pad_right(max(room - name.cell_len, 0))
        yield Text.assemble(name, counts, self.verdict)


def _section(name: str, results: Sequence[Result], places: Everywhere) -> RenderableType:
    parts: list[RenderableType] = [
        Text(),
        _Row(Text(name, style="bold"), "alloc.", "rel.", Text("verdict")),
    ]
    for _, group in groupby(results, key=_same):
        repeated = list(group)
        result = repeated[0]
        judgement = result.judgement
        counts = str(judgement.allocations), str(judgement.releases)
        label = Text(result.scenario.name, style="cyan")
        if len(repeated) > 1:
            label.append(f" x {len(repeated)}", style="bold")
        parts.append(_Row(label, *counts, _verdict(result)))
        parts.append(Padding(Group(*_words(result, places)), (0, 0, 0, 4)))
    return Group(*parts)


def _same(result: Result) -> tuple[object, ...]:
    """Runs of one scenario that came to the same are one row."""
    judgement = result.judgement
    rules = tuple((one.rule, one.kind, one.what, one.at) for one in judgement.findings)
    return result.scenario.name, judgement.verdict, rules, judgement.reasons, judgement.allocations


def _matrix(faults: Sequence[Planted]) -> RenderableType:
    """Who caught which planted fault, and when."""
    table = Table(title="Planted faults", title_justify="left", box=None, pad_edge=False)
    table.title_style = "bold"
    # What has blanks may wrap there; nothing is broken within.
    for column in ("rule", "kind", "from", "caught", "by", "found"):
        table.add_column(column, no_wrap=column not in ("by", "found"))
    table.add_column("within", justify="right", no_wrap=True)
    rows: dict[tuple[str, ...], list[Planted]] = {}
    for one in faults:
        key = one.rule, one.kind, one.language, str(one.caught), one.witness, one.found
        rows.setdefault(key, []).append(one)
    for (rule, kind, language, _, witness, found), group in rows.items():
        count = len(group)
        good = group[0].caught
        mark = Text(f"{count} of {count}", "green") if good else Text(f"0 of {count} !", "red")
        within = max(one.within for one in group)
        when = Text(f"{within // 1000} us" if within else "")
        by = Text(witness.replace("+", " "))
        table.add_row(Text(rule), Text(kind), Text(language), mark, by, Text(found), when)
    return Group(Text(), table)


def summary(results: Sequence[Result]) -> str:
    """One line of counts."""
    counts = [
        f"{sum(result.judgement.verdict is verdict for result in results)} {verdict}"
        for verdict in Verdict
    ]
    expected = sum(result.as_expected for result in results)
    many = "1 scenario" if len(results) == 1 else f"{len(results)} scenarios"
    return f"{many}: {', '.join(counts)}; {expected} as expected"


def print_problems(
    console: Console,
    results: Sequence[Result],
    faults: Sequence[Planted] = (),
    places: Everywhere = NOWHERE,
) -> None:
    """Only what is not as expected; nothing when all is.

    `results`: planted faults too. `places`: of its calls.
    """
    wrong = [result for result in results if not result.as_expected]
    if not wrong:
        return
    for name, group in groupby(wrong, key=lambda result: result.scenario.section):
        put(console, _section(name, list(group), places))
    missed = [fault for fault in faults if not fault.caught]
    if missed:
        put(console, _matrix(missed))
    console.print()
    console.print(Text(summary(results), style="bold"))


def print_report(
    console: Console,
    host: Mapping[str, str],
    results: Sequence[Result],
    faults: Sequence[Planted] = (),
    places: Everywhere = NOWHERE,
) -> None:
    """Everything, readable at 80 columns and without colour.

    `faults`: the planted ones, those that ran beside the results too. `places`: of its calls.
    """
    for line in environment_lines(host):
        console.print(Text(line))
    for name, group in groupby(results, key=lambda result: result.scenario.section):
        put(console, _section(name, list(group), places))
    # Beside a few named scenarios only a miss is worth the space.
    named_too = any(result.scenario.is_planted for result in results)
    shown = [fault for fault in faults if named_too or not fault.caught]
    if shown:
        put(console, _matrix(shown))
    lines = answer(results)
    if lines is not None:
        console.print()
        console.print(Text(QUESTION, style="bold"))
        for line in lines:
            console.print(Text(line))
    console.print()
    if faults:
        console.print(Text(rate(faults), style="bold"))
    console.print(Text(summary(results), style="bold"))
