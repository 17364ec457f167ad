"""What `make mutation` knows of a mutant: when Python looks at it, and what explains it."""

import ast

import pytest

from tests.mutation.explained import Explained, Mutant, explained
from tests.mutation.kinds import is_of_identity, is_usual
from tests.mutation.noticing import SLOW, Noticing
from tests.mutation.places import Place, When, place
from tests.mutation.reach import Reach

SOURCE = """\
LIMIT = 1 << 4

@cached
def first(number: int | None = 2) -> int | None:
    found: int | None = 3
    if (
        number
        and 4
    ):
        return 5
    return [one for one in range(6)]

class Shape:
    size: int | None = 7

    def area(self) -> int:
        def inner(width=8):
            return 9
        return inner()

try:
    10
except ValueError:
    11
"""


@pytest.mark.parametrize(
    ("text", "when", "first", "last"),
    [
        ("<<", When.IMPORT, 1, 1),
        ("@cached", When.IMPORT, 3, 3),
        ("| None = 2", When.NEVER, 4, 4),
        ("2", When.IMPORT, 4, 4),
        ("| None:", When.NEVER, 4, 4),
        ("| None = 3", When.NEVER, 5, 5),
        ("3", When.CALL, 5, 5),
        ("and", When.CALL, 6, 9),
        ("5", When.CALL, 10, 10),
        ("6", When.CALL, 11, 11),
        ("| None = 7", When.NEVER, 14, 14),
        ("7", When.IMPORT, 14, 14),
        # What a function inside of another does with its arguments is done by a call.
        ("8", When.CALL, 17, 17),
        ("9", When.CALL, 18, 18),
        ("10", When.IMPORT, 22, 22),
        ("ValueError", When.IMPORT, 23, 23),
        ("11", When.IMPORT, 24, 24),
    ],
)
def test_a_place_is_the_head_of_its_statement(text: str, when: When, first: int, last: int) -> None:
    before = SOURCE[: SOURCE.index(text)]
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1)
    found = place(ast.parse(SOURCE), line, column)
    assert (found.when, found.first, found.last) == (when, first, last)


@pytest.mark.parametrize(
    ("changed", "matches"),
    [
        ({}, True),
        ({"file": "audit/runs.py"}, False),
        ({"line": "return 2"}, False),
        ({"operator": "NumberReplacer"}, False),
        ({"operator": "ReplaceBinaryOperator_BitAnd_*"}, True),
        ({"becomes": "return a * b"}, True),
        ({"becomes": "return a | b"}, False),
    ],
)
def test_an_entry_explains_its_mutants_alone(changed: dict[str, str], matches: bool) -> None:
    operator = "ReplaceBinaryOperator_BitAnd_Mul"
    mutant = Mutant("harness/audit/run.py", 7, "return a & b", "return a * b", operator)
    entry = {"file": "audit/run.py", "line": "return a & b", "operator": operator, "why": "Truth."}
    assert Explained(**(entry | changed)).matches(mutant) is matches


def test_each_entry_says_why() -> None:
    assert all(one.why.endswith(".") for one in explained())


@pytest.mark.parametrize(
    ("operator", "usual", "identity"),
    [
        ("core/ReplaceComparisonOperator_Lt_LtE", True, False),
        ("core/ReplaceComparisonOperator_Lt_NotEq", False, False),
        ("core/ReplaceComparisonOperator_Is_IsNot", True, False),
        ("core/ReplaceComparisonOperator_Is_Lt", False, True),
        ("core/ReplaceComparisonOperator_NotEq_IsNot", False, True),
        ("core/ReplaceBinaryOperator_BitAnd_Pow", False, False),
        ("core/NumberReplacer", True, False),
    ],
)
def test_kinds_of_mutants(operator: str, usual: bool, identity: bool) -> None:
    assert is_usual(operator) is usual
    assert is_of_identity(operator) is identity


REACH = {
    "a.py": {"": Reach(lines={"values.py": [1, 2], "judge.py": [1]})},
    "b.py": {
        "b.py::slow": Reach(2.0, {"judge.py": [5, 6]}),
        "b.py::quick": Reach(0.1, {"judge.py": [5]}),
        "b.py::endless": Reach(SLOW, {"judge.py": [7]}),
        "b.py::looks": Reach(0.1),
    },
}


def _names(file: str, where: Place, seconds: float) -> list[str]:
    return [one.name for one in Noticing(file, REACH, seconds).tests(where)]


def test_a_line_has_the_tests_that_run_it() -> None:
    assert _names("judge.py", Place(When.CALL, 5, 5), 9) == ["b.py::quick", "b.py::slow"]
    assert _names("judge.py", Place(When.CALL, 6, 6), 9) == ["b.py::slow"]
    assert _names("judge.py", Place(When.CALL, 7, 7), 9) == []


@pytest.mark.parametrize("when", [When.IMPORT, When.CALL])
def test_a_file_of_which_no_test_runs_a_line_is_tried_by_the_users_of_it(when: When) -> None:
    names = _names("values.py", Place(when, 1, 1), 9)
    assert sorted(names) == ["b.py::looks", "b.py::quick", "b.py::slow"]


@pytest.mark.parametrize("file", ["judge.py", "values.py"])
def test_the_first_look_at_modules_or_run_most_a_second(file: str) -> None:
    assert _names(file, Place(When.IMPORT, 1, 1), 1) == ["b.py::looks", "b.py::quick"]
