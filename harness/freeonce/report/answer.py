"""The article's question, answered from this run's own results. Pure."""

from collections.abc import Mapping, Sequence

from freeonce.audit.model import Rule, Verdict
from freeonce.audit.result import Result

QUESTION = "Why did AllocatedMemory<T> crash on a null free and leak what it owned?"

# How the value is stored, and what Drop releases: each alone and both together.
ASSIGN_STORAGE = "allocated_memory/assign_drop_storage"
WRITE_STORAGE = "allocated_memory/write_drop_storage"
ASSIGN_IN_PLACE = "allocated_memory/assign_drop_in_place"
WRITE_IN_PLACE = "allocated_memory/write_drop_in_place"

BOTH = {Rule.NULL_FREE, Rule.LEAK}
PREDICTED = {
    ASSIGN_STORAGE: BOTH,
    WRITE_STORAGE: {Rule.LEAK},
    ASSIGN_IN_PLACE: {Rule.NULL_FREE},
    WRITE_IN_PLACE: set(),
}

CAUSES = (
    "Two causes, each by itself:",
    "1. `foo.bar = x` drops the old value of `foo.bar` first. It is zeroed memory, so its"
    " Drop frees a null pointer. `ptr::write` stores without dropping.",
    "2. Drop for AllocatedMemory<T> frees the storage without dropping the T in it, so what"
    " the T owns leaks. `ptr::drop_in_place` before the free drops it.",
)


def answer(results: Sequence[Result]) -> list[str] | None:
    """The answer in lines; None when this run did not run the four that decide it."""
    by_name = {result.scenario.name: result for result in results}
    if not PREDICTED.keys() <= by_name.keys():
        return None
    seen = {name: _rules(by_name[name]) for name in PREDICTED}
    if seen != PREDICTED:
        return [
            "This run does not answer it: the four scenarios that decide it went otherwise"
            " than the two known causes predict.",
            *(f"{name}: {_said(rules)}" for name, rules in seen.items()),
        ]
    return [*CAUSES, *_measured(seen), *_others(by_name)]


def _rules(result: Result) -> set[Rule] | None:
    """The rules violated; None when the verdict does not tell."""
    if result.judgement.verdict not in (Verdict.CLEAN, Verdict.FAULTY):
        return None
    return {finding.rule for finding in result.judgement.findings}


def _said(rules: set[Rule] | None) -> str:
    if rules is None:
        return "not known"
    return " and ".join(sorted(rules, reverse=True)) or "clean"


def _measured(seen: Mapping[str, set[Rule] | None]) -> list[str]:
    return [
        "This run, store by / Drop releases:",
        f"  assignment / storage only: {_said(seen[ASSIGN_STORAGE])}",
        f"  ptr::write / storage only: {_said(seen[WRITE_STORAGE])}",
        f"  assignment / the T, then storage: {_said(seen[ASSIGN_IN_PLACE])}",
        f"  ptr::write / the T, then storage: {_said(seen[WRITE_IN_PLACE])}",
    ]


def _others(by_name: Mapping[str, Result]) -> list[str]:
    """What the other attempts say, as far as they ran."""
    attempts = [f"allocated_memory/{name}" for name in ("raw_pointer", "unique", "may_dangle")]
    lines = []
    if all(name in by_name and _rules(by_name[name]) == BOTH for name in attempts):
        lines.append(
            "Another pointer type, Unique<T> and #[may_dangle] touch neither cause: all of them"
            " show both faults."
        )
    boxed = by_name.get("box/built_then_moved")
    if boxed is not None and _rules(boxed) == set():
        lines.append(
            "Box<T> has neither: its drop glue comes from the compiler, and a value built"
            " before it is moved in leaves nothing old to drop."
        )
    return lines
