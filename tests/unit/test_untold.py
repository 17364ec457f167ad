"""Instructions that could not be patched: a life in which one may have run is no clean one."""

import io
import json

import pytest
from rich.console import Console

from freeonce.audit.life import Instruction, Stage, Target
from freeonce.audit.life import Life as Led
from freeonce.audit.model import Verdict
from freeonce.audit.result import Evidence
from freeonce.audit.untold import untold
from freeonce.errors import Obstacle
from freeonce.evidence.ledger import (
    CPU_STATE_GIF,
    CPU_STATE_SEV_ES,
    CPU_STATE_SILENT,
    Structure,
    Type,
)
from freeonce.report.junit import junit_text
from freeonce.report.life import Told, audit_document, print_life
from freeonce.run.conclude import conclude_led, conclude_life
from freeonce.run.life import Lived
from tests.unit.history import History, Life
from tests.unit.results import HOST

LEFT = Instruction("vmrun", ".text", 0x20, "there is no room for a jump", "enters")
SEV_ES = Instruction("vmrun", ".noinstr.text", 0x295, "too near", "__svm_sev_es_vcpu_run")


def target(*instructions: Instruction) -> Target:
    return Target("hv", "hv.ko", "6.1", (), (), True, instructions)


def life(*instructions: Instruction, on: bool = True, features: int = 0) -> Led:
    play = Life()
    play.born()
    if on:
        play.operand(0, Structure.HOST_SAVE_AREA, 0x1000)
    play.cpu_state()
    for row in play.rows:
        if row["type"] == Type.CPU_STATE:
            row["detail"] = CPU_STATE_GIF | features
    lived = Lived(Stage.JUDGE, evidence=Evidence(play.records()))
    return conclude_life("hv", (target(*instructions),), lived, 0.0)


def names(of: Led) -> list[Obstacle]:
    return [one.obstacle for one in of.reasons]


def test_a_vmrun_that_is_left_makes_a_life_incomplete_in_every_report() -> None:
    found = life(LEFT, SEV_ES, LEFT, Instruction("vmrun", ".text", 0x60))
    (reason,) = found.reasons
    assert reason.obstacle is Obstacle.UNTOLD_VMRUN
    assert reason.message.startswith("hv gives the CPU memory by 2 unpatched instructions: ")
    assert "vmrun at .text+0x20 in enters: there is no room for a jump" in reason.message
    assert found.result.judgement.verdict is Verdict.INCOMPLETE
    # The page shows what the judgement says.
    assert reason.message in found.result.judgement.reasons
    told = Told(found, (), {}, ())
    (document,) = json.loads(json.dumps(audit_document(HOST, [told], 0.0)))["lives"]
    assert document["reasons"] == [{"reason": "untold-vmrun", "message": reason.message}]
    assert "by 2 unpatched instructions" in junit_text([found.result])
    shown = io.StringIO()
    print_life(Console(file=shown, width=400), HOST, told)
    assert "untold-vmrun: hv gives the CPU memory by 2 unpatched instructions" in shown.getvalue()


def test_so_it_does_where_many_lives_are_led_and_where_failures_are_made() -> None:
    """Neither of these makes a whole life of what it led."""
    evidence = life(LEFT).result.evidence
    judged = conclude_led("hv", (target(LEFT),), evidence, 0.0).judgement
    assert judged.verdict is Verdict.INCOMPLETE
    assert any("unpatched" in one for one in judged.reasons)
    others = conclude_led("hv", (target(),), evidence, 0.0).judgement
    assert not any("unpatched" in one for one in others.reasons)


def test_where_no_cpu_had_svm_none_of_them_ran() -> None:
    assert names(life(LEFT, on=False)) == []
    # Unless it may have been turned on where nobody tells either.
    assert names(life(LEFT, Instruction("wrmsr", ".text", 0x40, "left"), on=False)) == [
        Obstacle.UNTOLD_VMRUN
    ]


@pytest.mark.parametrize("features", [0, CPU_STATE_SEV_ES])
def test_what_is_for_encrypted_state_needs_a_cpu_that_has_it(features: int) -> None:
    assert names(life(SEV_ES, features=features)) == ([Obstacle.UNTOLD_VMRUN] if features else [])


def test_what_is_led_or_gives_no_address_is_no_reason() -> None:
    others = (Instruction("vmrun", ".text", 0x20), Instruction("clgi", ".text", 0x30, "left"))
    assert names(life(*others)) == []


def test_a_wrmsr_that_is_left_is_a_reason_by_itself_where_the_cpu_is_given_memory() -> None:
    """What it turned on may be off again when the CPUs are looked at."""
    wrmsr = Instruction("wrmsr", ".text", 0x40, "there is no room for a jump", "turns_on")
    for on in (False, True):
        assert names(life(wrmsr, on=on)) == []
        (reason,) = life(wrmsr, Instruction("vmrun", ".text", 0x20), on=on).reasons
        assert reason.obstacle is Obstacle.UNTOLD_VMRUN
        assert "by 1 unpatched instructions: wrmsr at .text+0x40 in turns_on" in reason.message


def test_of_a_life_that_never_began_nothing_is_said() -> None:
    assert list(untold([target(LEFT)], Life().records())) == []


def says(history: History, one: Instruction = LEFT) -> bool:
    return list(untold([target(one)], history.records())) != []


@pytest.mark.parametrize(
    ("history", "on"),
    [
        (Life().add(Type.SVM_ON), True),
        (Life().vmrun(1, 0x1000), True),
        (Life().cpu_state(efer=0x1D01), True),
        (Life().cpu_state().cpu_state(cpu=1, efer=0x1D01), True),
        (Life().cpu_state(efer=0x2D01), False),
        (Life().operand(0, Structure.HOST_SAVE_AREA, 0x1000), True),
        (Life().operand(0, Structure.HOST_SAVE_AREA, 0x1000, cache=1), True),
        (Life().operand(0, Structure(Structure.HOST_SAVE_AREA ^ 1), 0x1000), False),
        (Life().add(Type.QUIESCED, detail=int(Structure.HOST_SAVE_AREA)), False),
    ],
)
def test_what_tells_that_a_cpu_had_svm(history: History, on: bool) -> None:
    """EFER.SVME is bit 12 (15.4)."""
    assert says(history) is on


@pytest.mark.parametrize(
    ("features", "may_run"),
    [
        ((), True),
        ((0,), False),
        ((0, 0), False),
        ((0, CPU_STATE_SEV_ES), True),
        ((CPU_STATE_SILENT,), True),
    ],
)
def test_a_cpu_that_said_nothing_may_have_encrypted_state(
    features: tuple[int, ...], may_run: bool
) -> None:
    history = Life().vmrun(1, 0x1000)
    for cpu, detail in enumerate(features):
        history.cpu_state(cpu=cpu)
        history.rows[-1]["detail"] |= detail
    assert says(history, SEV_ES) is may_run
    assert says(history)
