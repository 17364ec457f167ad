"""`freeonce svm` in a real guest, guest/SVM.md beside it, and the cost of watching a VMRUN."""

import json
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from freeonce.audit.model import Verdict
from freeonce.bench.guests import VMRUN
from freeonce.guest import CONTROL, Guest
from freeonce.run.campaign import run_one

pytestmark = pytest.mark.xdist_group("svm")

Document = dict[str, Any]
Table = dict[str, dict[str, str]]

TEXT = (Path(__file__).resolve().parents[2] / "guest/SVM.md").read_text()
EXITS = "Kinds of #VMEXIT"
RULES = "Consistency rules of VMRUN"
OF_THE_MANUAL = ("code", "name", "what", "section", "scenario", "rule")
NOT_RUN = "not run yet"
POSITIVE = ("seen", "enforced")
GOAL = 40


def table(heading: str, key: str) -> Table:
    """The first table under a heading of SVM.md: its rows by the column `key`."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    names, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return {row[key]: row for row in (dict(zip(names, cells, strict=True)) for cells in rows)}


@pytest.fixture(scope="session")
def document() -> Document:
    run = subprocess.run(
        [sys.executable, "-m", "freeonce", "svm", "--json", "-"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout))


def test_the_goal_is_reached(document: Document) -> None:
    assert document["schema"] == "freeonce/svm/1"
    assert document["ok"] is True
    assert document["unknown"] == document["unclear"] == []
    seen = [one for one in document["exits"] if one["status"] == "seen"]
    assert len(seen) >= GOAL
    assert all(one["scenarios"] for one in seen)


def test_each_row_of_the_document_is_a_kind(document: Document) -> None:
    documented = table(EXITS, "name")
    told = {one["name"]: [one["hex"], one["meaning"], one["section"]] for one in document["exits"]}
    assert told == {
        name: [row["code"], row["what"], row["section"]] for name, row in documented.items()
    }


def columns(heading: str) -> list[str]:
    """How the accelerators' columns of a table are headed."""
    section = TEXT.split(f"\n## {heading}\n")[1]
    head = next(line for line in section.splitlines() if line.startswith("|"))
    names = [cell.strip() for cell in head.strip("|").split("|")]
    return [name for name in names if name not in OF_THE_MANUAL]


def holds(one: Document, row: dict[str, str], label: str, labels: list[str]) -> bool:
    """Whether a row says what was found; of an accelerator not there, what all others do."""
    if label in labels:
        return bool(row[label] == one["text"])
    claims = [row[name] for name in labels if row[name] != NOT_RUN]
    everywhere = bool(claims) and all(claim.startswith(POSITIVE) for claim in claims)
    return one["status"] in POSITIVE or not everywhere


def test_the_document_says_what_this_accelerator_does(document: Document) -> None:
    label = document["label"]
    wrong = []
    for heading, found, key in ((EXITS, "exits", "name"), (RULES, "rules", "scenario")):
        labels, rows = columns(heading), table(heading, key)
        if label not in labels:
            text = f"guest/SVM.md, {heading}: no column {label!r}; compared with what all others do"
            warnings.warn(text, stacklevel=2)
        names = {one[key] for one in document[found]}
        wrong += [f"no longer there: {name}" for name in rows.keys() - names]
        wrong += [
            f"{one[key]}: {label}: {one['text']}; documented: {rows.get(one[key], 'nothing')}"
            for one in document[found]
            if one[key] not in rows or not holds(one, rows[one[key]], label, labels)
        ]
    assert not wrong, "guest/SVM.md is not what freeonce svm says:\n" + "\n".join(wrong)


def test_the_document_tells_the_rules_in_the_scenarios_words(document: Document) -> None:
    rows = table(RULES, "scenario")
    told = {one["scenario"]: one["rule"] for one in document["rules"]}
    paste = "\n".join(f"| {name} | {rule} | ... | {NOT_RUN} |" for name, rule in told.items())
    assert told == {name: row["rule"] for name, row in rows.items()}, paste


def test_the_benchmark_measures_each_part_as_often_and_leaves_a_blank_ledger(
    guest: Guest,
) -> None:
    lines = guest.command(f"cat {CONTROL}/bench_vmrun").decode().splitlines()
    measured = Counter(line.split()[0] for line in lines)
    assert measured == dict.fromkeys(VMRUN, measured["bare"])
    assert measured["bare"] > 1
    assert all(int(line.split()[1]) > 0 for line in lines)
    # Rewound: not even what was told when the module was loaded.
    assert guest.header().appended == 0
    scenario = next(one for one in guest.scenarios() if one.name == "svm/vmrun_exits")
    assert run_one(guest, scenario)[0].judgement.verdict is Verdict.CLEAN
