"""`freeonce explain`: every rule is told, and a wrong name gets the right one."""

import pytest
from click.testing import CliRunner
from rich.console import Console

from freeonce.audit.model import Rule
from freeonce.cli.explain import explain, explained, find
from freeonce.errors import UsageError
from freeonce.report.explanations import EXPLANATIONS, KASAN, KMEMLEAK, VERIFIER

# Told before its rule is there.
AHEAD = {"hardware-use-after-free"}


def test_every_rule_is_told_and_nothing_else() -> None:
    rules = {str(rule) for rule in Rule}
    assert set(EXPLANATIONS) - AHEAD == rules - AHEAD


@pytest.mark.parametrize("name", EXPLANATIONS)
def test_each_names_the_three_other_detectors_and_where_that_stands(name: str) -> None:
    one = EXPLANATIONS[name]
    assert {KASAN, KMEMLEAK, VERIFIER} <= {other.detector for other in one.elsewhere}
    assert all(other.page.startswith("https://") for other in one.elsewhere)
    assert all((one.meaning, one.example, one.witness, one.mend))


@pytest.mark.parametrize(
    ("rule", "detector", "code"),
    [
        # Driver Verifier's and the pool's own codes, by their documentation.
        ("leak", VERIFIER, "0x62"),
        ("double-free", VERIFIER, "0x13"),
        ("null-free", VERIFIER, "0xC2"),
        ("invalid-free", VERIFIER, "0x10"),
        ("mismatched-free", VERIFIER, "0x60"),
        ("use-after-free", VERIFIER, "0xD5"),
        ("out-of-bounds", VERIFIER, "0xC1"),
        ("leak", KMEMLEAK, "unreferenced object"),
        ("double-free", KASAN, "KASAN: double-free"),
        ("invalid-free", KASAN, "KASAN: invalid-free"),
        ("use-after-free", KASAN, "KASAN: slab-use-after-free"),
    ],
)
def test_the_messages_of_others_are_theirs(rule: str, detector: str, code: str) -> None:
    (one,) = (other for other in EXPLANATIONS[rule].elsewhere if other.detector == detector)
    assert one.message is not None
    assert code in one.message


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("leek", "leak"), ("use-after-fre", "use-after-free"), ("nul", "null-free")],
)
def test_a_wrong_name_gets_the_right_one(wrong: str, right: str) -> None:
    with pytest.raises(UsageError, match=f"did you mean .*{right}"):
        find(wrong)


@pytest.mark.parametrize("written", ["double-free", "double free", "DOUBLE_FREE"])
def test_a_name_may_be_written_as_one_remembers_it(written: str) -> None:
    assert find(written).rule == "double-free"


def test_a_name_like_no_other_gets_them_all() -> None:
    with pytest.raises(UsageError, match="leak, double-free"):
        find("xyzzy")


@pytest.mark.parametrize("width", [40, 80])
def test_it_fits_the_terminal(width: int) -> None:
    console = Console(width=width, highlight=False)
    for one in EXPLANATIONS.values():
        with console.capture() as capture:
            console.print(explained(one))
        assert all(len(line) <= width for line in capture.get().splitlines())


def test_without_a_rule_all_are_listed() -> None:
    output = CliRunner().invoke(explain, []).output
    assert all(f"{name}: " in output for name in EXPLANATIONS)
