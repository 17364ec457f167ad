"""What `freeonce svm` says: tables for a terminal, JSON by schema freeonce/svm/1."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from freeonce.audit.result import Result
from freeonce.evidence.exits import Exit
from freeonce.report.lines import put
from freeonce.report.terminal import environment_lines
from freeonce.survey.kinds import ConsistencyRule, Enforced, Kind, Status, Survey

SCHEMA = "freeonce/svm/1"

STYLES = {
    Status.SEEN: "green",
    Status.UNSUPPORTED: "blue",
    Status.NOT_TRIED: "dim",
    Status.NOT_PROVEN: "yellow",
    Enforced.YES: "green",
    Enforced.NO: "blue",
    Enforced.UNKNOWN: "yellow",
}


def label(host: dict[str, str]) -> str:
    """The accelerator with its version, as the columns of guest/SVM.md are headed."""
    return f"{host['accelerator'].upper()}, QEMU {host['qemu']}"


def code_text(one: Exit) -> str:
    """Its code, or its range of codes, in hex; negative ones as such."""
    if one.code >> 31:
        return str(one.code - (1 << 32))
    return f"{one.code:#04x}-{one.last:#04x}" if one.is_family else f"{one.code:#04x}"


def kind_text(kind: Kind) -> str:
    """What is known of a kind of #VMEXIT, as it stands in guest/SVM.md."""
    numbers = ", ".join(str(code - kind.exit.code) for code in kind.codes)
    said = f"{kind.status} {numbers}" if kind.exit.is_family and numbers else str(kind.status)
    # That no scenario makes it is what not tried means.
    told = kind.reason and kind.status is not Status.NOT_TRIED
    return f"{said}: {kind.reason}" if told else said


def rule_text(rule: ConsistencyRule) -> str:
    """What is known of a consistency rule, as it stands in guest/SVM.md."""
    return f"{rule.status}: {rule.reason}" if rule.reason else str(rule.status)


def _kinds(label: str, kinds: Sequence[Kind]) -> Table:
    table = Table(title="Kinds of #VMEXIT", title_justify="left", box=None, pad_edge=False)
    table.title_style = "bold"
    table.add_column("code", no_wrap=True)
    table.add_column("name", no_wrap=True, style="cyan")
    table.add_column("what", overflow="fold")
    table.add_column("section")
    table.add_column(label, overflow="fold")
    for kind in kinds:
        one = kind.exit
        said = Text(kind_text(kind), STYLES[kind.status])
        table.add_row(code_text(one), Text(one.name), Text(one.meaning), one.section, said)
    return table


def _rules(label: str, rules: Sequence[ConsistencyRule]) -> Table:
    title = "Consistency rules of VMRUN (15.5.1)"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.title_style = "bold"
    table.add_column("scenario", no_wrap=True, style="cyan")
    table.add_column("rule", overflow="fold")
    table.add_column(label, overflow="fold")
    for rule in rules:
        said = Text(rule_text(rule), STYLES[rule.status])
        table.add_row(Text(rule.scenario), Text(rule.text), said)
    return table


def _counts(found: Survey) -> list[str]:
    kinds = {status: sum(one.status is status for one in found.kinds) for status in Status}
    codes = sum(len(kind.codes) for kind in found.kinds)
    told = ", ".join(f"{count} {status}" for status, count in kinds.items() if count)
    lines = [f"{len(found.kinds)} kinds of #VMEXIT: {told}; {codes} exit codes seen"]
    if found.rules:
        rules = {status: sum(one.status is status for one in found.rules) for status in Enforced}
        told = ", ".join(f"{count} {status}" for status, count in rules.items() if count)
        lines.append(f"{len(found.rules)} consistency rules: {told}")
    return lines


def print_survey(console: Console, host: dict[str, str], found: Survey) -> None:
    """Everything, readable at 80 columns and without colour."""
    for line in environment_lines(host):
        console.print(Text(line))
    console.print()
    put(console, _kinds(label(host), found.kinds))
    for reason in sorted({one.reason for one in found.kinds if one.status is Status.NOT_TRIED}):
        console.print(Text(f"{Status.NOT_TRIED}: {reason}"))
    if found.unknown:
        codes = ", ".join(f"{code:#x}" for code in found.unknown[:10])
        console.print(Text(f"{len(found.unknown)} exit codes that no manual has: {codes}"))
    console.print()
    if found.rules:
        put(console, _rules(label(host), found.rules))
    else:
        console.print("Consistency rules of VMRUN: no scenario tries one")
    console.print()
    for name, why in found.unclear:
        console.print(Text.assemble((name, "cyan"), f" tells of no kind; {why}"))
    for line in _counts(found):
        console.print(Text(line, style="bold"))


def survey_document(
    host: dict[str, str], found: Survey, results: Sequence[Result]
) -> dict[str, object]:
    """The same for programs. `ok`: every verdict as expected."""
    return {
        "schema": SCHEMA,
        "host": host,
        "ok": bool(results) and all(result.as_expected for result in results),
        "label": label(host),
        "exits": [_kind_document(kind) for kind in found.kinds],
        "unknown": list(found.unknown),
        "rules": [
            {
                "scenario": rule.scenario,
                "rule": rule.text,
                "status": str(rule.status),
                "reason": rule.reason,
                "text": rule_text(rule),
            }
            for rule in found.rules
        ],
        "unclear": [{"scenario": name, "why": why} for name, why in found.unclear],
    }


def _kind_document(kind: Kind) -> dict[str, object]:
    one = kind.exit
    return {
        "code": one.code,
        "last": one.last,
        "hex": code_text(one),
        "name": one.name,
        "meaning": one.meaning,
        "section": one.section,
        "status": str(kind.status),
        "codes": list(kind.codes),
        "scenarios": list(kind.scenarios),
        "reason": kind.reason,
        "text": kind_text(kind),
    }
