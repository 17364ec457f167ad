"""`freeonce results`: its list in a terminal and in a pipe, and what large stores take."""

import json
import os
import pty
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from click.testing import CliRunner

from freeonce.campaign import store as room
from freeonce.campaign.outcome import Outcome
from freeonce.campaign.store import writing
from freeonce.campaign.task import Task
from freeonce.cli.results import results

LONG = "/home/somebody/modules/" + "x" * 60


def filled(folder: Path, *several: tuple[str, Outcome]) -> Path:
    with writing(folder) as store:
        for number, (name, outcome) in enumerate(several):
            body = {"kind": "audit", "name": name, "number": number}
            store.add(Task(f"{number:032x}", name, body), outcome)
    return folder


def faulty(*functions: str, **other: object) -> Outcome:
    findings = [{"rule": "leak", "family": "slab", "function": one} for one in functions]
    document = {"findings": [one | {"message": "8 bytes"} for one in findings], **other}
    return Outcome("faulty", False, 12.5, "w", document)


@pytest.fixture
def some(tmp_path: Path) -> Path:
    clean = Outcome("clean", True, 0.25, "w", {})
    many = faulty("first_function", "second_function", "third_function")
    return filled(tmp_path / "s", ("loop", clean), (LONG, clean), ("a", faulty("f")), ("b", many))


def test_in_a_pipe_each_result_is_one_whole_line_in_columns(some: Path) -> None:
    said = CliRunner().invoke(results, [str(some)], env={"COLUMNS": "80"}).stdout.splitlines()
    wide = len(LONG)
    assert said == [
        f"key           kind   {'name':{wide}}  verdict  expected  seconds  found",
        f"000000000000  audit  {'loop':{wide}}  clean    yes           0.2",
        f"000000000000  audit  {LONG}  clean    yes           0.2",
        f"000000000000  audit  {'a':{wide}}  faulty   no           12.5  leak slab f",
        f"000000000000  audit  {'b':{wide}}  faulty   no           12.5  leak slab first_function; "
        "leak slab second_function; leak slab third_function",
    ]


def in_terminal(store: Path, columns: int) -> list[str]:
    master, slave = pty.openpty()
    words = (sys.executable, "-m", "freeonce", "results", str(store))
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    with subprocess.Popen(words, stdout=slave, env=environment) as process:
        os.close(slave)
        said = b""
        while True:
            try:
                said += os.read(master, 65536)
            except OSError:
                # The other end is closed, and all is read.
                break
    os.close(master)
    assert process.returncode == 0
    return said.decode().splitlines()


def test_in_a_terminal_what_has_no_room_in_its_line_stands_below(some: Path) -> None:
    assert in_terminal(some, 80) == [
        "key           kind   name           verdict  expected  seconds  found",
        "000000000000  audit  loop           clean    yes           0.2",
        f"000000000000  audit  {LONG}  clean    yes           0.2",
        "000000000000  audit  a              faulty   no           12.5  leak slab f",
        "000000000000  audit  b              faulty   no           12.5",
        "    leak slab first_function; leak slab second_function; leak slab",
        "    third_function",
    ]


def test_words_of_the_guest_move_no_cursor(tmp_path: Path) -> None:
    store = filled(tmp_path / "s", ("a\x1b[2J", faulty("f\x1b[2J")))
    assert "\x1b" not in "".join(in_terminal(store, 80))


def test_json_has_a_result_a_line(some: Path) -> None:
    said = CliRunner().invoke(results, [str(some), "--json", "-"]).stdout
    assert [one["name"] for one in json.loads(said)] == ["loop", LONG, "a", "b"]
    assert [json.loads(line.rstrip(","))["name"] for line in said.splitlines()[1:-1]] == [
        *("loop", LONG, "a", "b"),
    ]


def test_what_is_not_asked_for_is_not_parsed(some: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(text: str) -> object:
        read.append(text)
        return json.loads(text)

    monkeypatch.setattr(room, "loads", counted)
    words = [str(some), "--csv", "-", "--where", "name=loop"]
    assert CliRunner().invoke(results, words).stdout.count("loop") == 1
    # A task and its document.
    assert len(read) == 2


COUNT = 2000
PADDING = 10_000
MOST_BYTES = 8e6


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 MB of documents."""
    outcome = faulty("f", text="x" * PADDING)
    return filled(tmp_path_factory.mktemp("large") / "s", *[("loop", outcome)] * COUNT)


@pytest.mark.parametrize(
    "words",
    [
        *([], ["--csv", "OUT"], ["--json", "OUT"], ["--junit", "OUT"]),
        *(["--sarif", "OUT"], ["--html", "OUT"], ["--against", "STORE"]),
    ],
    ids=lambda words: "".join(words[:1]) or "list",
)
def test_no_report_has_all_documents_in_memory(
    large: Path, tmp_path: Path, words: list[str]
) -> None:
    places = {"OUT": str(tmp_path / "out"), "STORE": str(large)}
    tracemalloc.start()
    try:
        said = CliRunner().invoke(results, [str(large), *(places.get(one, one) for one in words)])
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert said.exit_code == 0, said.output
    assert most < MOST_BYTES
