"""`freeonce run --json -` and the article's table: every scenario from a real guest."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("contract")

ROOT = Path(__file__).resolve().parents[2]

Document = dict[str, Any]
Rules = list[tuple[str, str, str | None]]

NULL: Rules = [("null-free", "pool", "assign")]
BOTH: Rules = [*NULL, ("leak", "contiguous", None)]
BOTH_POOL: Rules = [*NULL, ("leak", "pool", None)]
CLEAN: Rules = []

# The definition of each ownership model's faults: what its source does to its allocations.
# (rule, kind, step); allocations; release calls made, null ones included.
ARTICLE: dict[str, tuple[Rules, int, int]] = {
    "allocated_memory/first": (BOTH, 2, 2),
    "allocated_memory/pool_owns_pool": (BOTH_POOL, 2, 2),
    "allocated_memory/contiguous_owns_pool": (BOTH_POOL, 2, 2),
    "allocated_memory/contiguous_owns_contiguous": (BOTH, 2, 2),
    "allocated_memory/raw_pointer": (BOTH, 2, 2),
    "allocated_memory/without_kind": (
        [("null-free", "contiguous", "assign"), ("leak", "contiguous", None)],
        2,
        2,
    ),
    "allocated_memory/unique": (BOTH, 2, 2),
    "allocated_memory/may_dangle": (BOTH, 2, 2),
    "allocated_memory/assign_drop_storage": (BOTH, 2, 2),
    "allocated_memory/write_drop_storage": ([("leak", "contiguous", None)], 2, 1),
    "allocated_memory/assign_drop_in_place": (NULL, 2, 3),
    "allocated_memory/write_drop_in_place": (CLEAN, 2, 2),
    "box/built_then_moved": (CLEAN, 2, 2),
    "box/zeroed_then_assigned": (NULL, 2, 3),
    "box/zeroed_then_assigned_prebuilt": (NULL, 2, 3),
    "box/maybe_uninit_never_dropped": ([("leak", "pool", None)], 2, 1),
    "allocator/physical_box": (CLEAN, 2, 2),
    "allocator/global_box": (CLEAN, 1, 1),
    "allocator/box_new_in_global": (CLEAN, 1, 1),
    "allocator/try_new_in": (CLEAN, 1, 1),
    "allocator/try_new_in_fails": (CLEAN, 1, 1),
    "allocator/nested_mixed": (CLEAN, 3, 3),
    "vec/pool_growth": (CLEAN, 10, 10),
    "vec/contiguous_growth": (CLEAN, 10, 10),
    "vec/of_boxes": (CLEAN, 17, 17),
    "c/pool": (CLEAN, 10, 10),
    "c/contiguous": (CLEAN, 5, 5),
    "c/placement": (CLEAN, 9, 9),
}

RULES = {
    "leak",
    "double-free",
    "null-free",
    "invalid-free",
    "mismatched-free",
    "wrong-size-free",
    "misplaced",
    "use-after-free",
    "out-of-bounds",
}


@pytest.fixture(scope="session")
def document() -> Document:
    run = subprocess.run(
        [sys.executable, "-m", "freeonce", "run", "--json", "-"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout))


@pytest.fixture(scope="session")
def by_name(document: Document) -> dict[str, Document]:
    return {scenario["name"]: scenario for scenario in document["scenarios"]}


def rules(scenario: Document) -> Rules:
    return sorted(
        ((one["rule"], one["kind"], one.get("at")) for one in scenario["findings"]), key=str
    )


def test_the_document_is_by_the_contract(document: Document) -> None:
    assert document["schema"] == "freeonce/run/1"
    assert document["ok"] is True
    assert document["host"]["accelerator"] in ("kvm", "tcg")
    assert {"reason", "qemu", "kernel"} <= document["host"].keys()
    for scenario in document["scenarios"]:
        assert scenario["as_expected"] is True, scenario
        assert scenario["verdict"] in ("clean", "faulty", "unsupported"), scenario
        assert scenario["verdict"] != "faulty" or scenario["findings"]
        assert scenario["witnesses"].keys() == {"ledger", "kernel", "memory"}
        if not scenario["name"].startswith(("fault/unledgered/", "fault/witnesses-disagree/")):
            assert set(scenario["witnesses"].values()) == {"agree"}
        assert scenario["seconds"] > 0
        assert scenario["events"] >= 2


@pytest.mark.parametrize("name", ARTICLE)
def test_the_table_of_the_article(name: str, by_name: dict[str, Document]) -> None:
    expected, allocations, releases = ARTICLE[name]
    scenario = by_name[name]
    assert rules(scenario) == sorted(expected, key=str)
    assert (scenario["allocations"], scenario["releases"]) == (allocations, releases)
    assert scenario["verdict"] == ("faulty" if expected else "clean")


def test_the_inner_leak_is_named(by_name: dict[str, Document]) -> None:
    findings = by_name["allocated_memory/first"]["findings"]
    (leak,) = [one for one in findings if one["rule"] == "leak"]
    assert (leak["what"], leak["size"]) == ("bar", 64)
    assert leak["message"].startswith("`bar`, 64 bytes contiguous, never released; ")


def test_vmrun_is_clean_and_four_exits_long(by_name: dict[str, Document]) -> None:
    scenario = by_name["svm/vmrun_exits"]
    assert scenario["verdict"] == "clean"
    # CPUID, IOIO, VMMCALL, HLT; an interrupt of the host may add exits.
    assert scenario["vmruns"] >= 4
    # VMCB, host VMCB, memory, IOPM, MSRPM, host save area, vcpu, a Vec and five tables.
    assert scenario["allocations"] == 13
    assert scenario["releases"] == scenario["allocations"]


@pytest.mark.parametrize("kind", ["pool", "contiguous"])
@pytest.mark.parametrize("language", ["c", "rust"])
@pytest.mark.parametrize("rule", sorted(RULES))
def test_each_rule_has_a_planted_fault_that_trips_only_it(
    rule: str, language: str, kind: str, by_name: dict[str, Document]
) -> None:
    prefix = f"fault/{rule}/{kind}/{language}"
    planted = [one for name, one in by_name.items() if f"{name}/".startswith(f"{prefix}/")]
    assert planted
    for scenario in planted:
        assert [(one["rule"], one["kind"]) for one in scenario["findings"]] == [(rule, kind)]


def test_page_attributes_left_behind_are_found(by_name: dict[str, Document]) -> None:
    scenario = by_name["fault/not-restored/contiguous/c/cache"]
    assert [(one["rule"], one["kind"]) for one in scenario["findings"]] == [
        ("not-restored", "contiguous")
    ]


# The kernel's own allocators: which sins can be committed against memory of each.
OF_KERNEL = {
    "slab": "leak double-free invalid-free mismatched-free use-after-free out-of-bounds",
    "object": "double-free mismatched-free use-after-free out-of-bounds",
    "cache": "leak",
    "pages": "leak double-free mismatched-free wrong-size-free use-after-free out-of-bounds",
    "vmalloc": "leak double-free mismatched-free use-after-free out-of-bounds",
    "kvmalloc": "leak double-free",
    "percpu": "leak double-free mismatched-free use-after-free",
}


@pytest.mark.parametrize("family", OF_KERNEL)
def test_what_a_scenario_takes_of_the_kernel_is_judged_by_family_and_place(
    family: str, by_name: dict[str, Document]
) -> None:
    for rule in OF_KERNEL[family].split():
        prefix = f"fault/{rule}/{family}/c"
        planted = [one for name, one in by_name.items() if f"{name}/".startswith(f"{prefix}/")]
        assert planted, prefix
        for scenario in planted:
            (finding,) = scenario["findings"]
            assert (finding["rule"], finding["kind"]) == (rule, family)
            assert re.fullmatch(r"guest/specimens/scenarios/\w+\.c", finding["file"])


def test_an_object_that_leaks_keeps_its_cache(by_name: dict[str, Document]) -> None:
    found = rules(by_name["fault/leak/object/c"])
    assert found == [("leak", "cache", None), ("leak", "object", None)]


@pytest.mark.parametrize("rule", ["leak", "double-free"])
def test_rust_takes_of_the_kernel_too(rule: str, by_name: dict[str, Document]) -> None:
    (finding,) = by_name[f"fault/{rule}/slab/rust"]["findings"]
    assert (finding["rule"], finding["kind"], finding["what"]) == (rule, "slab", "string")
    assert finding["file"] == "guest/rust/src/scenarios/of_kernel.rs"


@pytest.mark.parametrize(
    ("name", "call", "kind"),
    [
        ("pool/c", "kfree()", "pool"),
        ("pool/c/rcu", "kfree_rcu()", "pool"),
        ("contiguous/c", "free_pages()", "contiguous"),
    ],
)
def test_a_release_past_the_ledger_is_told_with_its_line(
    name: str, call: str, kind: str, by_name: dict[str, Document]
) -> None:
    scenario = by_name[f"fault/unledgered/{name}"]
    (finding,) = scenario["findings"]
    assert (finding["rule"], finding["kind"]) == ("unledgered", kind)
    assert f"{call}, past the ledger" in finding["message"]
    line = (ROOT / finding["file"]).read_text().splitlines()[finding["line"] - 1]
    assert call.removesuffix(")") in line
    # Nobody contradicts the ledger, and the guest lives to say so.
    assert set(scenario["witnesses"].values()) == {"agree"}


def test_what_nobody_told_the_ledger_is_seen_by_the_kernel(by_name: dict[str, Document]) -> None:
    scenario = by_name["fault/unledgered/slab/c"]
    assert [(one["rule"], one["kind"]) for one in scenario["findings"]] == [("unledgered", "slab")]
    assert scenario["witnesses"]["kernel"] == "disagree"


# Who of the other two can know: a lie about an allocation contradicts the kernel, one about
# a release contradicts the memory, and a double story contradicts itself.
LIES = {
    "allocation-dropped": "kernel",
    "allocation-duplicated": "kernel",
    "allocation-forged": "kernel",
    "release-dropped": "memory",
    "release-duplicated": "ledger",
    "release-forged": "memory",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_ledger_that_lies_is_contradicted(lie: str, by_name: dict[str, Document]) -> None:
    scenario = by_name[f"fault/witnesses-disagree/pool/c/{lie}"]
    assert scenario["verdict"] == "faulty"
    assert [one["rule"] for one in scenario["findings"]] == ["witnesses-disagree"]
    assert scenario["witnesses"][LIES[lie]] == "disagree"


def test_nothing_runs_that_this_table_does_not_know(by_name: dict[str, Document]) -> None:
    others = {name for name in by_name if not name.startswith(("fault/", "svm/"))}
    assert others - ARTICLE.keys() == {*PLAIN, *HYPERVISOR}


PLAIN = {
    *("allocator/zero_sized", "c/l2", "c/l2_static", "c/refused", "module/unload"),
    *(f"windows/c/{name}" for name in ("pool", "at_dispatch_level", "contiguous", "refused")),
    *(f"windows/rust/{name}" for name in ("pool", "contiguous")),
    *(f"kernel/{name}" for name in ("string", "slab", "caches", "pages", "vmalloc", "percpu")),
    *(f"kernel/{name}" for name in ("timer-deleted", "work-flushed")),
}
"""Of these `as_expected` says all; that the document is by the contract is a test of its own."""


# What the source of each does: (rule, kind, name of the allocation).
HYPERVISOR: dict[str, list[tuple[str, str, str | None]]] = {
    "hypervisor/virtualize": [],
    "hypervisor/virtualize_for_a_while": [],
    "hypervisor/other_msr": [],
    "hypervisor/program_vmmcall": [],
    "hypervisor/handler_data_released": [("hardware-use-after-free", "pool", "shared")],
    "hypervisor/double_teardown": [("double-free", "contiguous", "processor")] * 2,
    "hypervisor/home_made_box": [("leak", "contiguous", "trace")],
    "hypervisor/hook_left": [("leak", "contiguous", "hooked page"), ("leak", "pool", "hook")],
    "hypervisor/teardown_on_one_cpu": [
        *(
            ("hardware-use-after-free", "contiguous", what)
            for what in ("iopm", "last", "msrpm", "npt")
        ),
        # The handler of the CPU that stays works with what the owner released.
        ("hardware-use-after-free", "pool", "shared"),
        ("not-restored", "none", None),
    ],
    "hypervisor/vmcb_misplaced": [("misplaced", "contiguous", "processor")],
}


@pytest.mark.parametrize("name", HYPERVISOR)
def test_the_hypervisor_of_the_article(name: str, by_name: dict[str, Document]) -> None:
    found = [(one["rule"], one["kind"], one.get("what")) for one in by_name[name]["findings"]]
    assert sorted(found, key=str) == sorted(HYPERVISOR[name], key=str)
    # Each of two CPUs was entered.
    assert by_name[name]["vmruns"] >= 2


STRUCTURES = ["vmcb", "host-vmcb", "iopm", "msrpm", "nested-table", "nested-page"]
STRUCTURES += ["host-save-area", "vmcb-entered", "iopm-short"]


@pytest.mark.parametrize("language", ["c", "rust"])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_each_structure_of_the_cpu_has_a_planted_fault(
    structure: str, language: str, by_name: dict[str, Document]
) -> None:
    scenario = by_name[f"fault/hardware-use-after-free/contiguous/{language}/{structure}"]
    (finding,) = scenario["findings"]
    assert (finding["rule"], finding["kind"]) == ("hardware-use-after-free", "contiguous")
    assert re.search(r"\(15\.\d+", finding["message"])
    # The #VMEXIT into the released VMCB stands in memory; nothing else was written.
    proof = "ledger+memory" if structure == "vmcb-entered" else "ledger"
    assert finding["witness"] == proof


@pytest.mark.parametrize("language", ["c", "rust"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("efer", "EFER was"),
        ("efer-elsewhere", "CPU 1: EFER was"),
        ("vm-hsave-pa", "VM_HSAVE_PA was 0x0"),
        ("gif", "GIF was left 0"),
        ("host-register", "the host's CR2"),
        ("host-register", "the host's FPU"),
    ],
)
def test_each_register_of_svm_has_a_planted_fault(
    name: str, said: str, language: str, by_name: dict[str, Document]
) -> None:
    (finding,) = by_name[f"fault/not-restored/none/{language}/{name}"]["findings"]
    assert finding["rule"] == "not-restored"
    assert said in finding["message"]


def test_every_planted_fault_is_in_the_matrix(
    document: Document, by_name: dict[str, Document]
) -> None:
    assert {one["name"] for one in document["planted"]} == {
        name for name in by_name if name.startswith("fault/")
    }
    assert all(one["caught"] for one in document["planted"])
