"""A campaign's plan, and the tasks that it unfolds into."""

import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freeonce.campaign import bases as here
from freeonce.campaign import identity, task
from freeonce.campaign.identity import (
    file_digest,
    library_digests,
    package_digest,
    subject_digest,
)
from freeonce.campaign.plan import Audit, Census, Place, Plan, Scenarios, line_of, parse_plan
from freeonce.campaign.same import same_run
from freeonce.campaign.task import CENSUS_LIMIT, Base, Task, key_of, unfold
from freeonce.errors import HostError, UsageError
from freeonce.evidence.scenarios import Scenario
from freeonce.project import chosen

TABLE = tuple(
    Scenario(number, name, "Examples", "C", None, "", ()) for number, name in enumerate("abc")
)
MODULES = {"loop": Path("loop.ko"), "kvm_amd": Path("kvm-amd.ko"), "nbd": Path("nbd.ko")}
BASE = Base(
    *("image", "package", "harness", "7.2.22", lambda _: "tcg", lambda: TABLE, lambda: MODULES),
    is_path=lambda word: "/" in word,
    digest=lambda path: f"digest of {path}",
    subject=lambda path: f"subject {path}",
    libraries=lambda exercises, _: {f"libc of {one}": "digest" for one in exercises},
    tools=lambda subjects: {"gcc": "12.2.0"} if subjects else {},
    folder="/here",
)


def tasks_of(plan: Plan, base: Base = BASE) -> list[Task]:
    return list(unfold(plan, lambda kernel: replace(base, kernel=kernel)))


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
    kernels = ["cloud", "linux-image-6.12"]
    [[scenarios]]
    names = ["c/pool"]
    fail_each = true
    [[census]]
    [[census]]
    names = ["nf_*"]
    fail_each = true
    """
    assert parse_plan(text, "plan") == Plan(
        (Scenarios(("c/*",), repeat=3), Scenarios(("c/pool",), fail_each=True)),
        (
            Audit(
                ("kvm", "kvm-amd"),
                exercises=("use.sh",),
                timeout=90.0,
                fail_each="+load",
                fail_limit=3,
                kernels=("cloud", "linux-image-6.12"),
            ),
        ),
        (Census(), Census(("nf_*",), fail_each=True)),
    )


A = "[[scenarios]]\nnames = ['a']\n"
B = "[[audits]]\ntargets = ['a']\n"
C = "# of modules\n[[census]]\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "it has none of [[scenarios]], [[audits]], [[census]]"),
        ("\n[[audit]]\ntargets = ['a']", 2, "audit is unknown; known are scenarios, audits, cens"),
        ("[scenarios]\nnames = ['a']", 1, "write [[scenarios]] with two brackets"),
        ("[[scenarios]]\nrepeat = 2", 1, "[[scenarios]] names is missing"),
        ("[[scenarios]]\nnames = 'a'", 2, "[[scenarios]] names must be a list of at least one"),
        ("[[scenarios]]\nnames = []", 2, "[[scenarios]] names must be a list of at least one text"),
        ("[[audits]]\ntargets = ['a', ' ']", 2, "[[audits]] targets must be a list of texts that"),
        (f"{A}repeat = true", 3, "[[scenarios]] repeat must be a whole number from 1 to"),
        (f"{A}# well\n\nrepeat = 0", 5, "[[scenarios]] repeat must be a whole number from 1 to"),
        (f"{A}timeout = nan", 3, "[[scenarios]] timeout must be seconds"),
        (f"{A}fail_each = 'load'", 3, "[[scenarios]] fail_each must be true or false"),
        (f"{A}fail_each = false\nfail_limit = 1", 4, "[[scenarios]] fail_limit is for fail_each"),
        (f"{A}kernels = 'cloud'", 3, "[[scenarios]] kernels must be a list"),
        (f"{A}{B}[[audits]]\ntarget = ['b']", 6, "[[audits]] target is unknown; known are targets"),
        (f"{B}fail_each = 'boot'", 3, "[[audits]] fail_each must be one of all, load"),
        (f"{B}fail_each = true", 3, "[[audits]] fail_each must be a text, not True"),
        (f"{B}fail_limit = 2", 3, "[[audits]] fail_limit is for fail_each"),
        (f"{B}params = 1", 3, "[[audits]] params must be a text, not 1"),
        (f"{C}[[census]]\nnames = [\n 1,\n]", 4, "[[census]] names must be a list"),
        (f"{C}repeat = 2", 3, "[[census]] repeat is unknown; known are names, fail_each"),
        (f"{C}census.a = 1", 3, "[[census]] census is unknown"),
        (f"{A}census = [{{fail_limit = 1}}]", 3, "[[scenarios]] census is unknown"),
        (f"census = [{{fail_limit = 1}}]\n{A}", 1, "[[census]] fail_limit is for fail_each"),
    ],
)
def test_what_is_wrong_with_a_plan_is_named_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_plan(text, "night.toml")
    assert str(caught.value).startswith(f"night.toml:{line}: {words}")


def test_what_is_no_toml_is_told_with_its_line() -> None:
    with pytest.raises(UsageError, match=r"night.toml: .*line 2"):
        parse_plan("[[scenarios]]\nnames = [1,, 2]", "night.toml")


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, f"{A}repeat = 1{'0' * 5000}"])
def test_what_no_plan_needs_is_no_plan(text: str) -> None:
    with pytest.raises(UsageError, match=r"^plan\.toml: "):
        parse_plan(text, "plan.toml")


def test_what_looks_like_a_table_in_a_text_is_none() -> None:
    text = 'a = """\n[[b]]\nc = 1\n"""\n[[b]]\nc = 2\n[[b]]\n'
    lines = [line_of(place, text) for place in (("a",), ("b", 0), ("b", 0, "c"), ("b", 1))]
    assert lines == [1, 5, 6, 7]


def test_the_line_is_found_however_the_file_is_made() -> None:
    """Held against each beginning of the file, one after the other."""
    text = """
    [[a]]
    long = [
        1,
        2,
    ]

    # nothing
    [[a]]
    text = '''
    [[c]]
    '''
    other = { b = 1, c = 2 }
    [[c]]
    end = 1"""
    places = places_of(tomllib.loads(text))
    assert {place: line_of(place, text) for place in places} == {
        place: plainly(place, text) for place in places
    }
    assert len(places) == 10


def plainly(place: Place, text: str) -> int:
    """The line by asking at each."""
    begin, so_far = 1, ""
    for number, line in enumerate(text.split("\n"), 1):
        so_far += f"{line}\n"
        try:
            found: Any = tomllib.loads(so_far)
        except ValueError:
            continue
        try:
            for one in place:
                found = found[one]
        except (LookupError, TypeError):
            begin = number + 1
            continue
        return begin
    raise AssertionError(place)


def places_of(tables: dict[str, Any]) -> list[Place]:
    places: list[Place] = [()]
    for name, each in tables.items():
        places.append((name,))
        for number, table in enumerate(each if isinstance(each, list) else ()):
            if isinstance(table, dict):
                places += [(name, number), *((name, number, key) for key in table)]
    return places


VALUES = (
    *("1", "[]", "[[1], [2, [3]]]", "{ a = [1, 2], b = ']' }", "'#['", r'"\\" # ]', r'"\"["'),
    *(
        '""',
        "''",
        '""""""',
        '"""]"""',
        '"""a"""""',
        "'''['''",
        "'''''a'''''",
        "1979-05-27T07:32:00Z",
    ),
    *('"""\\\n  x"""', '"""\n[[t]]\n\\"""\n""\n"""', "'''\n[[t]]\n]\\'''", "{ a = [\n1,\n] }"),
    *(
        "[ # ]\n]",
        '[\n \'[\', "\'", # [\u2028\n\n """\n]""",\n]',
        '"\u2028\u0085"',
        "[\n[\n1],\n[[\n]]]",
    ),
)
LONG = "[\n" + "".join(f"  'a/name_{number}', # ]\n" for number in range(60)) + "]"
TABLES = ("[[t]]", "[[u]] # [[t]]", '[["]"]]', "[[t.in]]", "# it\u2028[", "", "[[ 'u' ]]")


@st.composite
def files(draw: st.DrawFn) -> str:
    """A file of TOML, its tables with keys of all kinds of values."""
    lines = ["t = [\n]"] if draw(st.booleans()) else ["[[t]]"]
    for number in range(draw(st.integers(0, 8))):
        if lines[0] == "[[t]]" and draw(st.booleans()):
            lines.append(draw(st.sampled_from(TABLES)))
        key = draw(st.sampled_from((f"k{number}", f"'k]{number}'", f"k{number} . in")))
        lines.append(f"{key} = {draw(st.sampled_from((*VALUES, LONG)))}")
    end = draw(st.sampled_from(("\n", "\r\n")))
    return "\n".join([*lines, *draw(st.sampled_from(([], [""])))]).replace("\n", end)


@settings(max_examples=150, deadline=None)
@given(files())
def test_the_line_is_found_in_files_with_values_of_any_kind(text: str) -> None:
    for place in places_of(tomllib.loads(text)):
        assert line_of(place, text) == plainly(place, text)


def test_a_line_ends_where_an_editor_has_its_end() -> None:
    with pytest.raises(UsageError, match=r"^p:3: "):
        parse_plan("# a\u2028b\u0085\n[[census]]\nx = 1\n", "p")


def test_behind_a_value_of_many_lines_the_line_is_found_in_few_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[str] = []

    def counted(text: str, load: Callable[[str], Any] = tomllib.loads) -> Any:
        looks.append(text)
        return load(text)

    text = "[[a]]\nb = [\n" + "  'name',\n" * 400 + "]\nc = 1\n"
    monkeypatch.setattr(tomllib, "loads", counted)
    assert line_of(("a", 0, "c"), text) == 404
    assert len(looks) < 10


def test_the_line_in_a_file_twice_as_long_is_not_four_times_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = 0

    def counted(text: str, load: Callable[[str], Any] = tomllib.loads) -> Any:
        nonlocal read
        read += len(text)
        return load(text)

    def work(tables: int) -> int:
        nonlocal read
        text = "[[a]]\nb = 1\n" * tables
        read = 0
        assert line_of(("a", tables - 1), text) == 2 * tables - 1
        return read

    monkeypatch.setattr(tomllib, "loads", counted)
    assert work(200) < 2.5 * work(100)


def test_the_plan_of_the_page_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs/campaigns.md").read_text()
    text = page.partition("```toml\n")[2].partition("```")[0]
    plan = parse_plan(text, "the page")
    assert [one.names for one in plan.scenarios] == [("c/*", "svm/exit/*")]
    assert [one.targets for one in plan.audits] == [("loop",)]


def names(plan: Plan) -> list[str]:
    return [task.name for task in tasks_of(plan)]


def test_each_repetition_is_a_task_and_none_is_there_twice() -> None:
    once = Scenarios(("a",))
    assert names(Plan((Scenarios(("[ab]",), repeat=2), once), ())) == ["a", "b", "a", "b"]
    tasks = tasks_of(Plan((replace(once, repeat=3),)))
    assert len({task.key for task in tasks}) == 3


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="no scenario matches 'z'"):
        names(Plan((Scenarios(("z",)),), ()))


@pytest.mark.parametrize(
    "other",
    [
        replace(BASE, image="another"),
        replace(BASE, package="another"),
        replace(BASE, harness="another"),
        replace(BASE, qemu="10.0.2"),
        replace(BASE, accelerator=lambda _: "kvm"),
        replace(BASE, tools=lambda _: {"gcc": "14.2.0"}),
        replace(BASE, digest=lambda path: f"another of {path}"),
        replace(BASE, subject=lambda path: f"another {path}"),
        replace(BASE, libraries=lambda *_: {"libc": "another"}),
    ],
)
def test_all_that_goes_into_a_task_changes_its_key(other: Base) -> None:
    plan = Plan((), (Audit(("./a.ko",), exercises=("use.sh",)),))
    (one,), (two,), (same,) = tasks_of(plan), tasks_of(plan, other), tasks_of(plan)
    assert one.key != two.key
    assert one.key == same.key


def test_where_the_paths_of_a_plan_lie_is_told_and_no_part_of_a_key() -> None:
    plan = Plan((Scenarios(("a",)),), (Audit(("./a.ko",)),))
    elsewhere = replace(BASE, folder="/there")
    here_, there = tasks_of(plan), tasks_of(plan, elsewhere)
    assert [one.key for one in here_] == [one.key for one in there]
    assert [one.body.get("folder") for one in there] == [None, "/there"]


def test_scenarios_alone_need_svm() -> None:
    base = replace(BASE, accelerator=lambda svm: "tcg" if svm else "kvm")
    plan = Plan((Scenarios(("a",)),), (Audit(("loop",)),), (Census(("nbd",)),))
    assert [one.body["accel"] for one in tasks_of(plan, base)] == ["tcg", "kvm", "kvm"]


def test_a_plan_of_too_many_tasks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "MOST", 3)
    plan = Plan((Scenarios(("a", "b"), repeat=2),))
    with pytest.raises(UsageError, match="more than 3 tasks"):
        tasks_of(plan)
    assert len(tasks_of(Plan((Scenarios(("[abc]",)),)))) == 3


@pytest.mark.parametrize("field", ["params", "targets", "commands", "files", "dependencies"])
def test_each_word_of_an_audit_changes_its_key(field: str) -> None:
    wish = Audit(("loop",))
    other: dict[str, Any] = {field: "x=1" if field == "params" else ("other",)}
    changed = replace(wish, **other)
    (one,), (two,) = (tasks_of(Plan((), (each,))) for each in (wish, changed))
    assert one.key != two.key


def test_a_key_does_not_depend_on_the_order_of_a_body() -> None:
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})


def test_the_table_is_asked_for_once() -> None:
    asked: list[int] = []

    def table() -> tuple[Scenario, ...]:
        asked.append(1)
        return TABLE

    assert len(tasks_of(Plan((Scenarios(("*",), repeat=50),)), replace(BASE, table=table))) == 150
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
    (task,) = tasks_of(plan)
    assert task.body["digests"] == {
        "use.sh": "digest of use.sh",
        "x": "digest of x",
    }
    assert task.body["subjects"] == {"./a.ko": "subject ./a.ko", "./b": "subject ./b"}
    assert task.body["libraries"] == {"libc of use.sh": "digest"}


def test_a_module_of_the_package_is_in_a_task_by_what_it_is() -> None:
    wish = Audit(("kvm-amd", "gone"), dependencies=("loop",), repeat=2)
    plan = Plan((), (wish,))
    digests = {"kvm-amd": "digest of kvm-amd.ko", "loop": "digest of loop.ko"}
    assert [task.body["modules"] for task in tasks_of(plan)] == [digests, digests]
    other = replace(BASE, digest=lambda path: f"another of {path}")
    assert {task.key for task in tasks_of(plan)}.isdisjoint(t.key for t in tasks_of(plan, other))


def test_a_census_is_a_task_for_each_module_and_one_for_its_failures() -> None:
    plan = Plan(census=(Census(("n*", "kvm_amd")), Census(("nbd",), fail_each=True)))
    found = [(task.name, task.body["kind"], task.body.get("limit")) for task in tasks_of(plan)]
    assert found == [
        ("kvm_amd", "census", None),
        ("nbd", "census", None),
        ("nbd", "census-failures", CENSUS_LIMIT),
    ]
    with pytest.raises(UsageError, match="no module 'z'"):
        tasks_of(Plan(census=(Census(("z",)),)))


def test_each_kernel_has_tasks_of_its_own() -> None:
    kernels = ("cloud", "6.12")
    plan = Plan(
        (Scenarios(("a",), kernels=kernels),),
        (Audit(("loop",), kernels=kernels),),
        (Census(("nbd",), kernels=kernels), Census(("nbd",))),
    )
    found = [(task.name, task.body.get("kernel", "")) for task in tasks_of(plan)]
    assert found == [*((n, k) for n in ("a", "loop", "nbd") for k in kernels), ("nbd", "")]
    assert len({task.key for task in tasks_of(plan)}) == len(found)


def test_failures_of_a_scenario_are_in_its_key() -> None:
    wish = Scenarios(("a",))
    wishes = (wish, replace(wish, fail_each=True), replace(wish, fail_each=True, fail_limit=2))
    keys = {task.key for one in wishes for task in tasks_of(Plan((one,)))}
    assert len(keys) == 3


def test_a_kernel_without_an_image_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(here, "image_of", lambda kernel: tmp_path / kernel / "manifest.json")
    with pytest.raises(HostError, match=r"run 'freeonce setup --kernel 6\.12'") as caught:
        here.bases("tcg", scenarios=True)("6.12")
    assert caught.value.reason == "no-image"


def test_a_kernel_by_its_name_has_all_that_a_project_adds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its families, its scenarios and its crate, as without a name."""
    (tmp_path / "manifest.json").touch()
    ours = SimpleNamespace(
        kernels=("cloud",), families=("mine",), scenarios=tmp_path, crate=tmp_path, folder=tmp_path
    )
    added: list[str] = []

    def adds(word: str) -> Any:
        def add(base: Path, *_: object) -> Path:
            added.append(word)
            return base

        return add

    monkeypatch.delenv("FREEONCE_IMAGE", raising=False)
    monkeypatch.setattr(here, "image_of", lambda _: tmp_path / "manifest.json")
    monkeypatch.setattr(chosen, "image_of", lambda _: tmp_path / "manifest.json")
    monkeypatch.setattr(chosen, "project", lambda: ours)
    monkeypatch.setattr(chosen, "crate_of", lambda _: "crate")
    monkeypatch.setattr(chosen, "with_families", adds("families"))
    monkeypatch.setattr(chosen, "with_scenarios", adds("scenarios and crate"))
    for kernel in ("", "cloud"):
        added.clear()
        assert here._image(kernel, scenarios=True) == tmp_path / "manifest.json"
        assert added == ["families", "scenarios and crate"]


def test_a_kernel_by_its_name_is_that_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    manifests: dict[str, Path] = {}
    for name in ("cloud", "6.12"):
        manifests[name] = tmp_path / name / "manifest.json"
        manifests[name].parent.mkdir()
        manifests[name].write_text(name)

    def setting_of(manifest: Path, *_: Any, **__: Any) -> Any:
        folder = manifest.parent
        image = SimpleNamespace(
            manifest=manifest, modules=folder, headers=folder, headers_source=None
        )
        return SimpleNamespace(image=image, qemu=SimpleNamespace(version="7.2.22"))

    monkeypatch.setattr(here, "image_of", manifests.__getitem__)
    monkeypatch.setattr(here, "setting_of", setting_of)
    monkeypatch.setattr(chosen, "project", lambda: None)
    base_of = here.bases("tcg", scenarios=True)
    for name, manifest in manifests.items():
        base = base_of(name)
        assert (base.kernel, base.image) == (name, file_digest(manifest))
    assert base_of("cloud").package != base_of("6.12").package


def changed(change: Callable[[], object], digest: Callable[[], object]) -> bool:
    before = digest()
    change()
    return digest() != before


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("Kbuild", "m-y := ../common/b.o"),
        ("Kbuild", "ccflags-y := -I$(src)/.. -DX"),
        ("m.c", '#include "../common/b.h"'),
        ("m.rs", 'include!("../b.rs");'),
    ],
)
def test_what_lies_beside_a_folder_that_names_it_is_a_part_of_it(
    tmp_path: Path, file: str, names: str
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m/Kbuild").write_text("obj-m := m.o")
    (tmp_path / "m" / file).write_text(names)
    (tmp_path / "common").mkdir()
    beside = tmp_path / "common/b.c"
    beside.write_text("one")
    digest = partial(subject_digest, tmp_path / "m")
    assert changed(lambda: beside.write_text("two"), digest)
    # Neither what a build leaves there nor a store of results is.
    for name in ("common/b.o", "common/b.mod.c", "results.sqlite", "common/.b.o.cmd"):
        assert not changed((tmp_path / name).touch, digest)


@pytest.mark.parametrize(
    ("file", "names"),
    [("Kbuild", "m-y := b.o # ..."), ("m.c", 'f(int a, ...); eq(s, "..");'), ("m.rs", "(a)..(b)")],
)
def test_what_lies_beside_a_folder_that_does_not_name_it_is_none(
    tmp_path: Path, file: str, names: str
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m/Kbuild").write_text("obj-m := m.o")
    (tmp_path / "m" / file).write_text(names)
    assert not changed((tmp_path / "b.c").touch, partial(subject_digest, tmp_path / "m"))


def test_a_folder_behind_a_link_is_a_part_of_a_folder(tmp_path: Path) -> None:
    for name in ("m", "far"):
        (tmp_path / name).mkdir()
    (tmp_path / "m/Kbuild").write_text("m-y := far/b.o")
    (tmp_path / "m/far").symlink_to("../far")
    assert changed((tmp_path / "far/b.c").touch, partial(subject_digest, tmp_path / "m"))


def test_too_much_beside_a_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m/Kbuild").write_text("m-y := ../b.o")
    for number in range(3):
        (tmp_path / f"{number}.c").touch()
    monkeypatch.setattr(identity, "MOST_FILES", 3)
    subject_digest(tmp_path / "m")
    monkeypatch.setattr(identity, "MOST_FILES", 2)
    with pytest.raises(UsageError, match="a folder of their own"):
        subject_digest(tmp_path / "m")


def test_what_an_exercise_is_linked_with_is_a_part_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "use"
    folder.mkdir()
    shutil.copy("/bin/true", folder / "true")
    (folder / "script").write_text("#!/bin/sh")
    found = library_digests([str(folder)], [])
    assert any("libc" in path for path in found)
    assert found == {path: file_digest(Path(path)) for path in found}
    assert library_digests([], [f"{folder}/true:/bin/x"]) == found
    assert library_digests([str(folder / "script")], []) == {}


def test_data_of_the_harness_are_a_part_of_it(tmp_path: Path) -> None:
    digest = partial(package_digest, tmp_path)
    assert (identity.PACKAGE / "subject/unaudited.toml").is_file()
    for name in ("judge.py", "data/table.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        assert changed((tmp_path / name).touch, digest)
        assert changed(partial((tmp_path / name).write_text, "another"), digest)
    for name in ("__pycache__/judge.pyc", "sources/guest/a.c"):
        (tmp_path / name).parent.mkdir(parents=True)
        assert not changed((tmp_path / name).touch, digest)


EVERYTHING = """
[[scenarios]]
names = ["*"]
repeat = 2
[[audits]]
targets = ["./note", "loop"]
exercises = ["./use.sh"]
files = ["./data:/data"]
[[census]]
fail_each = true
"""


def test_a_task_is_the_same_whatever_it_is_run_with_and_wherever_it_lies() -> None:
    """Else a store would take what another image came to for another task."""
    other = replace(
        BASE,
        image="another image",
        package="another package",
        harness="another harness",
        qemu="9.2",
        folder="/there",
        digest=lambda path: f"another digest of {path}",
        subject=lambda path: f"another subject {path}",
        libraries=lambda exercises, _: {f"another libc of {one}": "x" for one in exercises},
        tools=lambda _: {"gcc": "14"},
    )
    plan = parse_plan(EVERYTHING, "plan.toml")
    before, after = tasks_of(plan), tasks_of(plan, other)
    assert not {one.key for one in before} & {one.key for one in after}
    runs = [same_run(one.name, one.body) for one in before]
    assert runs == [same_run(one.name, one.body) for one in after]
    assert len(set(runs)) == len(runs)
    under_kvm = tasks_of(plan, replace(BASE, accelerator=lambda _: "kvm"))
    assert not {same_run(one.name, one.body) for one in under_kvm} & set(runs)
