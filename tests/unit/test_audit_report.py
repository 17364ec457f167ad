"""What an audit tells people and programs, and findings that are known beforehand."""

import io
import json

import jsonschema
import pytest
from rich.console import Console

from freeonce.audit.life import Life, NotAudited, Ran, Reason, Stage, Target
from freeonce.audit.model import Rule
from freeonce.errors import Obstacle, UsageError
from freeonce.evidence.ledger import Type
from freeonce.report.excused import NONE, Excuses
from freeonce.report.expected import Known, compare, parse_expected
from freeonce.report.found import Found, found
from freeonce.report.life import Told, audit_document, by_family, print_life, tell
from freeonce.run.conclude import conclude_life
from freeonce.run.life import Lived
from freeonce.subject.places import Frame
from tests.unit.history import History, run
from tests.unit.results import HOST, result

LOSE = (
    Frame("kzalloc", None, "leaky", "/usr/src/linux-headers-6.1/include/linux/slab.h", 700),
    Frame("lose", 0x12, "leaky", "/home/me/leaky.c", 7),
    Frame("do_one_initcall", 0x56),
)
FREE = (Frame("leaky_exit", 0x20, "leaky", "/home/me/leaky.c", 21),)
OTHER = (Frame("other", 0x8, "leaky", None, None),)
TRACES = {1: LOSE, 2: OTHER, 3: FREE}


def at(told: History, kind: Type, stack: int) -> None:
    """Give the last record of a type its stack."""
    row = next(row for row in reversed(told.rows) if row["type"] == kind)
    row["site"] = stack


def history() -> History:
    """Two leaks of one stack, one of another, a pair, and a null release."""
    told = run()
    for serial, stack in ((1, 1), (2, 1), (3, 2), (4, 1)):
        told.allocate(serial, 0x1000 * serial, size=100)
        at(told, Type.ALLOCATE, stack)
    told.release(4, 0x4000, size=100)
    at(told, Type.RELEASE, 3)
    told.release(0, 0, withheld=True)
    at(told, Type.RELEASE, 3)
    return told.end().settle()


UNHEARD = (NotAudited("idr_alloc", 1, "number"), NotAudited("filp_open", 3, "file"))
TARGET = Target("leaky", "leaky.ko", "6.1.0", ("kfree", "kmalloc_trace"), UNHEARD, True)


def told(known: tuple[Known, ...] = (), *reasons: Reason, excuses: Excuses = NONE) -> Told:
    ran = (Ran("try.sh", 0, "fine\n", 1.0), Ran("bad.sh", 3, "a\nb\n", 1.0))
    life = Life((TARGET,), Stage.JUDGE, reasons, ran, result("leaky", history()))
    return tell(life, TRACES, known, excuses=excuses)


def named(groups: tuple[Found, ...]) -> list[tuple[str, int, str]]:
    return [
        (str(one.finding.rule), one.count, one.place.frame.function if one.place else "")
        for one in groups
    ]


def test_findings_of_one_stack_are_one_with_a_count() -> None:
    assert named(told().found) == [
        ("null-free", 1, "leaky_exit"),
        ("leak", 2, "lose"),
        ("leak", 1, "other"),
    ]


def test_without_traces_the_stacks_number_tells_them_apart() -> None:
    one = result("leaky", history())
    groups = found(one.judgement.findings, {})
    assert [one.count for one in groups] == [1, 2, 1]


def test_a_second_release_names_the_first_and_the_allocation() -> None:
    double = run().allocate(1, 0x1000)
    at(double, Type.ALLOCATE, 1)
    for stack in (3, 2):
        double.release(1, 0x1000, withheld=stack == 2)
        at(double, Type.RELEASE, stack)
    one = result("leaky", double.end().settle())
    (group,) = (
        group
        for group in found(one.judgement.findings, TRACES)
        if group.finding.rule is Rule.DOUBLE_FREE
    )
    assert (group.stack, group.allocated, group.released) == (OTHER, LOSE, FREE)


FRAME = {
    "type": "object",
    "required": ["function"],
    "properties": {"offset": {"type": "integer"}, "line": {"type": "integer"}},
}
STACK = {"type": "array", "items": FRAME}
FINDING = ["rule", "family", "size", "function", "offset", "file", "line", "stack", "released_at"]
LIFE = ["phase", "verdict", "acquired", "released", "by_family", "findings", "witnesses", "seconds"]
SCHEMA = {
    "type": "object",
    "required": ["schema", "host", "ok", "targets", "lives"],
    "properties": {
        "schema": {"const": "freeonce/audit/1"},
        "lives": {
            "type": "array",
            "items": {
                "required": LIFE,
                "properties": {
                    "findings": {
                        "items": {
                            "required": [*FINDING, "count"],
                            "properties": {"stack": STACK, "released_at": STACK},
                        }
                    }
                },
            },
        },
    },
}
"""What issue and README promise to programs."""


def test_programs_get_what_was_promised() -> None:
    document = json.loads(json.dumps(audit_document(HOST, [told()], 1.5)))
    jsonschema.validate(document, SCHEMA)
    assert document["ok"] is False
    (life,) = document["lives"]
    assert (life["acquired"], life["released"]) == (4, 1)
    assert life["by_family"] == {"pool": {"acquired": 4, "released": 1}}
    _, leak, _ = life["findings"]
    assert (leak["count"], leak["file"], leak["line"]) == (2, "/home/me/leaky.c", 7)
    assert (leak["function"], leak["offset"], leak["size"]) == ("lose", 0x12, 100)
    assert [frame["function"] for frame in leak["stack"]] == ["kzalloc", "lose", "do_one_initcall"]


def shown(one: Told, quiet: bool = False, verbose: bool = False) -> str:
    file = io.StringIO()
    print_life(Console(file=file, width=80, highlight=False), HOST, one, quiet, verbose)
    text = file.getvalue()
    assert max(map(len, text.splitlines()), default=0) <= 80
    return text


def test_people_get_it_at_80_columns() -> None:
    text = shown(told((), Reason(Obstacle.EXERCISE_FAILED, "bad.sh ended with status 3")))
    lines = text.splitlines()
    assert "leak: allocation 1, 100 bytes pool, never released (2 times)" in lines
    assert "    allocated at kzalloc [leaky]" in text
    assert "lose+0x12 [leaky] /home/me/leaky.c:7" in text
    assert "exercise-failed: bad.sh ended with status 3" in lines
    assert "not audited: 4 calls of 2 functions: filp_open (3, file)" in text
    assert "exercise bad.sh: status 3, 1.0 s" in lines
    assert any(line.startswith("leaky: faulty; 4 acquired, 1 released") for line in lines)


def test_people_get_as_many_reasons_as_somebody_reads() -> None:
    many = [Reason(Obstacle.EXERCISE_FAILED, f"{number}.sh failed") for number in range(57)]
    text = shown(told((), *many))
    assert text.count("exercise-failed: ") == 50
    assert "and 7 more reasons (--json tells all)" in text


def test_people_get_as_many_findings_as_somebody_reads_and_first_those_that_count() -> None:
    leaks = run()
    for serial in range(1, 58):
        leaks.allocate(serial, 0x1000 * serial)
        at(leaks, Type.ALLOCATE, serial)
    life = Life((TARGET,), Stage.JUDGE, (), (), result("leaky", leaks.end().settle()))
    first = {1: LOSE} | {number: (Frame(f"lose_{number}"),) for number in range(2, 58)}
    known = Known("leak", "pool", "lose", because="by design")
    text = shown(tell(life, first, (known,)))
    assert text.count("leak: ") == 50
    assert "and 7 more findings: 7 leak (--json tells all)" in text
    assert "allocated at lose_51" in text
    assert "by design" not in text


def test_what_exercises_printed_is_shown_on_request() -> None:
    # Of one that failed it always is.
    plain, more = shown(told()).splitlines(), shown(told(), verbose=True).splitlines()
    assert "    a" in plain
    assert "    fine" not in plain
    assert {"    fine", "    a"} <= set(more)


KNOWN = """
[[finding]]
rule = "leak"
family = "pool"
function = "lose"
count = 2
because = "kept on purpose"

[[finding]]
rule = "leak"
family = "pool"

[[finding]]
rule = "null-free"
family = "pool"
"""


def test_known_findings_are_as_expected() -> None:
    one = told(parse_expected(KNOWN, "known.toml"))
    assert one.ok
    text = shown(one)
    assert "known: kept on purpose" in text
    assert "faulty, as expected" in text
    assert shown(one, quiet=True) == ""
    (life,) = json.loads(json.dumps(audit_document(HOST, [one], 1.0)))["lives"]
    assert [finding["known"] for finding in life["findings"]] == [True, "kept on purpose", True]


def test_what_did_not_come_is_told() -> None:
    fourth = KNOWN + '[[finding]]\nrule = "double-free"\nfamily = "slab"\nfunction = "f"\n'
    one = told(parse_expected(fourth, "known.toml"))
    assert not one.ok
    assert "! expected and not found: double-free (slab) in f" in shown(one)


def test_the_one_that_says_more_is_met_first() -> None:
    vague = Known("leak", "pool")
    exact = Known("leak", "pool", function="lose")
    met, missing = compare(told().found, [vague, exact])
    assert missing == ()
    assert {one.place.frame.function: known for one, known in met.items() if one.place} == {
        "lose": exact,
        "other": vague,
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[finding]\n", "no TOML"),
        ("[finding]\nrule = 1\n", "two brackets"),
        ("finding = [1]\n", "two brackets"),
        pytest.param("a = " + "[" * 5000, "no TOML", id="nested"),
        ("[[findings]]\n", "unknown: findings"),
        ('[[finding]]\nrule = "leek"\nfamily = "slab"\n', "'leek', not one of double-free"),
        ('[[finding]]\nrule = "leak"\n', "family is None, not one of"),
        ('[[finding]]\nrule = "leak"\nfamily = "slab"\nfuntion = "f"\n', "'funtion' is unknown"),
        ('[[finding]]\nrule = "leak"\nfamily = "slab"\ncount = "2"\n', "count is no number"),
        ('[[finding]]\nrule = "leak"\nfamily = "slab"\ncount = true\n', "count is no number"),
    ],
)
def test_a_file_of_expectations_that_says_nonsense_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=r"known\.toml") as error:
        parse_expected(text, "known.toml")
    assert words in str(error.value)


def test_families_count_each_allocation_once() -> None:
    records = result("leaky", history()).evidence.records
    (count,) = by_family(records).values()
    assert (count.acquired, count.released) == (4, 1)


def test_of_a_life_that_never_began_only_the_reason_is_told() -> None:
    reason = Reason(Obstacle.NO_ELF, "x.ko: no ELF file: it begins with 00")
    lived = Lived(Stage.READ, [reason])
    life = conclude_life("x.ko", (), lived, 0.0)
    text = shown(Told(life, (), {}, ()))
    assert text.splitlines()[2:] == [
        "",
        "no-elf: x.ko: no ELF file: it begins with 00",
        "",
        "x.ko: incomplete; 0 acquired, 0 released, reached read",
    ]


def test_of_what_the_verdict_says_nothing_is_told_with_its_count() -> None:
    said = " ".join(shown(told()).split())
    assert "not audited: 4 calls of 2 functions: filp_open (3, file), idr_alloc (1, number)" in said
    (target,) = json.loads(json.dumps(audit_document(HOST, [told()], 0.0)))["targets"]
    assert target["unaudited"] == ["idr_alloc", "filp_open"]
    assert target["not_audited"]["calls"] == 4
    assert target["not_audited"]["functions"][1]["function"] == "filp_open"
