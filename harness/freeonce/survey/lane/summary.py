"""The comparison of the KVM lane, for a terminal and as JSON (schema freeonce/lane/1). Pure."""

from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from freeonce.survey.lane.differences import Comparison, Difference

SCHEMA = "freeonce/lane/1"


def lane_document(
    where: str, tcg: dict[str, object], kvm: dict[str, object], comparison: Comparison
) -> dict[str, object]:
    """Both runs, whole, and what they differ in. `where`: KVM ran `here` or in the `outer` one."""
    return {
        "schema": SCHEMA,
        "ok": tcg["ok"] is True and comparison.ok,
        "where": where,
        "same": comparison.same,
        "unexplained": [asdict(one) for one in comparison.unexplained],
        "explained": [
            asdict(one) | {"why": reason.why, "source": reason.source}
            for one, reason in comparison.explained
        ],
        "gone": [asdict(one) for one in comparison.gone],
        "tcg": tcg,
        "kvm": kvm,
    }


def _words(one: Difference) -> str:
    return f"{one.scenario}: {one.field}: TCG {one.tcg}, KVM {one.kvm}"


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Each difference with its reason, or that it has none; then one line of counts."""
    for one, reason in comparison.explained:
        console.print(Text(_words(one)))
        console.print(Text(f"    {reason.why} ({reason.source})", style="dim"))
    for one in comparison.unexplained:
        console.print(Text(f"! {_words(one)}", style="bold red"))
        console.print(Text("    not declared in lane/differences.py"))
    for gone in comparison.gone:
        text = f"! {gone.scenarios}: {gone.field}: declared to differ, and does not"
        console.print(Text(text, style="bold red"))
    explained = f"{len(comparison.explained)} differences explained"
    unexplained = f"{len(comparison.unexplained)} not"
    console.print(
        Text(
            f"{comparison.same} scenarios have the same result under TCG and KVM; "
            f"{explained}, {unexplained}",
            style="bold",
        )
    )
