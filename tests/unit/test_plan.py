"""A campaign's plan, and the tasks that it unfolds into."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from freeonce.campaign.identity import file_digest
from freeonce.campaign.plan import Audit, Plan, Scenarios, parse_plan
from freeonce.campaign.task import Base, key_of, unfold
from freeonce.errors import UsageError
from freeonce.evidence.scenarios import Scenario

TABLE = tuple(
    Scenario(number, name, "Examples", "C", None, "", ()) for number, name in enumerate("abc")
)
BASE = Base(
    *("image", "harness", "tcg", lambda: TABLE),
    is_path=lambda word: "/" in word,
    digest=lambda path: f"digest of {path}",
)


def test_a_plan_says_what_is_to_run() -> None:
    text = """
    [[scenarios]]
    names = ["c/*"]
    repeat = 3
    [[audits]]
    targets = ["kvm", "kvm-amd"]
    exercises = ["use.sh"]
    timeout = 90
    fail_each = "+load"
    fail_limit = 3
    """
    assert parse_plan(text, "plan") == Plan(
        (Scenarios(("c/*",), repeat=3),),
        (
            Audit(
                ("kvm", "kvm-amd"),
                exercises=("use.sh",),
                timeout=90.0,
                fail_each="+load",
                fail_limit=3,
            ),
        ),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[scenarios]]\nnames = [1,, 2]", "line 2"),
        ("", "neither [[scenarios]] nor [[audits]]"),
        ("[[audit]]\ntargets = ['a']", "audit is unknown; known are scenarios, audits"),
        ("[scenarios]\nnames = ['a']", "two brackets"),
        ("[[scenarios]]\nrepeat = 2", "[[scenarios]] number 1: names is missing"),
        ("[[scenarios]]\nnames = 'a'", "names must be a list of at least one text, not 'a'"),
        ("[[scenarios]]\nnames = []", "names must be a list of at least one text"),
        ("[[scenarios]]\nnames = ['a']\nrepeat = true", "repeat must be a whole number from 1 to"),
        ("[[scenarios]]\nnames = ['a']\nrepeat = 0", "repeat must be a whole number from 1 to"),
        ("[[scenarios]]\nnames = ['a']\ntimeout = nan", "timeout must be seconds"),
        ("[[audits]]\ntargets = ['a']\n[[audits]]\ntarget = ['b']", "number 2: target is unknown"),
        ("[[audits]]\ntargets = ['a']\nfail_each = 'boot'", "fail_each must be one of all, load"),
        ("[[audits]]\ntargets = ['a']\nfail_each = true", "fail_each must be a text, not True"),
        ("[[audits]]\ntargets = ['a']\nfail_limit = 2", "fail_limit is for fail_each"),
        ("[[audits]]\ntargets = ['a']\nparams = 1", "params must be a text, not 1"),
    ],
)
def test_what_is_wrong_with_a_plan_is_named(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_plan(text, "night.toml")
    assert words in str(caught.value)
    assert str(caught.value).startswith("night.toml: ")


def test_the_plan_of_the_page_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs/campaigns.md").read_text()
    text = page.partition("```toml\n")[2].partition("```")[0]
    plan = parse_plan(text, "the page")
    assert [one.names for one in plan.scenarios] == [("c/*", "svm/exit/*")]
    assert [one.targets for one in plan.audits] == [("loop",)]


def names(plan: Plan) -> list[str]:
    return [task.name for task in unfold(plan, BASE)]


def test_each_repetition_is_a_task_and_none_is_there_twice() -> None:
    once = Scenarios(("a",))
    assert names(Plan((Scenarios(("[ab]",), repeat=2), once), ())) == ["a", "b", "a", "b"]
    tasks = list(unfold(Plan((replace(once, repeat=3),), ()), BASE))
    assert len({task.key for task in tasks}) == 3


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="no scenario matches 'z'"):
        names(Plan((Scenarios(("z",)),), ()))


@pytest.mark.parametrize(
    "other",
    [
        replace(BASE, image="another"),
        replace(BASE, harness="another"),
        replace(BASE, accelerator="kvm"),
        replace(BASE, digest=lambda path: f"another of {path}"),
    ],
)
def test_all_that_goes_into_a_task_changes_its_key(other: Base) -> None:
    plan = Plan((), (Audit(("./a.ko",), exercises=("use.sh",)),))
    (one,), (two,) = unfold(plan, BASE), unfold(plan, other)
    assert one.key != two.key
    assert one.key == next(unfold(plan, BASE)).key


@pytest.mark.parametrize("field", ["params", "targets", "commands", "files", "dependencies"])
def test_each_word_of_an_audit_changes_its_key(field: str) -> None:
    wish = Audit(("loop",))
    other: dict[str, Any] = {field: "x=1" if field == "params" else ("other",)}
    changed = replace(wish, **other)
    (one,), (two,) = (unfold(Plan((), (each,)), BASE) for each in (wish, changed))
    assert one.key != two.key


def test_a_key_does_not_depend_on_the_order_of_a_body() -> None:
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})


def test_the_table_is_asked_for_once() -> None:
    asked: list[int] = []

    def table() -> tuple[Scenario, ...]:
        asked.append(1)
        return TABLE

    assert len(list(unfold(Plan((Scenarios(("*",), 50),), ()), replace(BASE, table=table)))) == 150
    assert len(asked) == 1


def test_a_digest_tells_content_names_and_what_may_be_executed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    digests = {file_digest(tmp_path)}
    (tmp_path / "a").chmod(0o755)
    digests.add(file_digest(tmp_path))
    (tmp_path / "a").rename(tmp_path / "b")
    digests.add(file_digest(tmp_path))
    (tmp_path / "b").write_text("two")
    digests.add(file_digest(tmp_path))
    assert len(digests) == 4


@pytest.mark.parametrize("path", ["gone", "a\0b"])
def test_a_file_that_cannot_be_read_is_told(path: str) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        file_digest(Path(path))


def test_files_of_an_audit_are_in_it_by_what_they_are() -> None:
    wish = Audit(
        ("./a.ko", "loop"), exercises=("use.sh",), files=("x:/y",), dependencies=("./b", "crc32")
    )
    plan = Plan((), (wish,))
    (task,) = unfold(plan, BASE)
    assert task.body["digests"] == {
        "./a.ko": "digest of ./a.ko",
        "./b": "digest of ./b",
        "use.sh": "digest of use.sh",
        "x": "digest of x",
    }
