"""The command line: exit statuses, and what goes to standard output."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from junitparser import JUnitXml
from rich.text import Text

from freeonce.audit.model import Judgement, Verdict
from freeonce.audit.points import Points
from freeonce.audit.result import Result
from freeonce.cli import doctor, main, outputs, pace, progress, svm, telling
from freeonce.cli import run as verb_run
from freeonce.cli.gathered import Gathered
from freeonce.cli.output import Out, writable, write
from freeonce.errors import GuestLost, HostError, UsageError
from freeonce.evidence.scenarios import Scenario
from freeonce.project.last import News, keep_open, left_open
from freeonce.report.words import MOST_NAMED
from freeonce.run.campaign import run_all
from freeonce.run.task import Options
from tests.unit.history import run
from tests.unit.results import result

HOST = dict.fromkeys(("accelerator", "reason", "qemu", "kernel", "rust"), "x")
Call = Callable[..., int]
FILES = ("json", "junit", "html", "sarif", "trace")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Runs the program with arguments; its exit status."""
    monkeypatch.setattr("freeonce.cli.last.last_file", lambda: tmp_path / "open.json")

    def program(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["freeonce", *arguments])
        monkeypatch.setattr("signal.signal", lambda *_: None)
        with pytest.raises(SystemExit) as ended:
            main.main()
        code = ended.value.code
        return code if isinstance(code, int) else 0

    return program


def ending(
    monkeypatch: pytest.MonkeyPatch,
    *verdicts: tuple[Verdict, bool],
    then: "BaseException | Callable[[], BaseException] | None" = None,
    known: int = 9,
) -> None:
    """A run that comes to these verdicts, as expected or not, and `then` to one more.

    `known`: how many scenarios the guest has.
    """
    image = SimpleNamespace(specimens=Path("/no/such/module"))
    setting = SimpleNamespace(document=lambda: HOST, image=image)

    def results(*_: object, **told: Any) -> Iterator[Result]:
        count = len(verdicts) + (then is not None)
        told["known"]([SimpleNamespace(name=f"a/{index}") for index in range(known)])
        told["chosen"]([SimpleNamespace(name=f"a/{index}") for index in range(count)], ())
        for index, (verdict, as_expected) in enumerate(verdicts):
            scenario = Scenario(index, f"a/{index}", "S", "C", None, "L.", ())
            judgement = Judgement(verdict, (), (), 0, 0, 0, 2, {})
            yield Result(scenario, judgement, as_expected, {}, 0.1)
        if then is not None:
            raise then if isinstance(then, BaseException) else then()

    for verb in (verb_run, svm):
        monkeypatch.setattr(verb, "find_setting", lambda *_, **__: setting)
        monkeypatch.setattr(verb, "crew_of", lambda *_: nullcontext())
    monkeypatch.setattr(progress, "run_all", results)


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        ([(Verdict.CLEAN, True), (Verdict.FAULTY, True)], 0),
        ([(Verdict.FAULTY, False)], 1),
        ([(Verdict.INCOMPLETE, False), (Verdict.FAULTY, False)], 4),
    ],
)
def test_the_verdicts_are_the_exit_status(
    verdicts: list[tuple[Verdict, bool]],
    status: int,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ending(monkeypatch, *verdicts)
    assert call("run") == status
    assert call("svm") == status


@pytest.mark.parametrize(
    ("error", "status"),
    [(UsageError("no such"), 2), (HostError("no-kvm", "none"), 3), (GuestLost("gone", "oops"), 4)],
)
def test_an_error_is_an_exit_status(
    error: Exception,
    status: int,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(verb_run, "find_setting", fail)
    assert call("run") == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert str(error) in captured.err


def test_an_error_that_nobody_expected_is_no_verdict(
    call: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(verb_run, "find_setting", fail)
    assert call("run") == 70
    said = capsys.readouterr().err
    assert "ZeroDivisionError: of ours" in said
    assert "an error of freeonce itself" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--accel", "vmware"],
        ["run", "--junit", "-"],
        ["run", "--html", "-"],
        ["run", "--trace", "-"],
        ["run", "--fail-each", "--trace", "x.trace"],
        ["run", "--fail-each", "--folded-count", "x.folded"],
        ["run", "--fail-each", "--fail-at", "3"],
        ["run", "--fail-at", "0"],
        ["run", "--fail-at", "3-"],
        ["run", "--fail-each", "--repeat", "2"],
        ["run", "--json", "/no/such/folder/x.json"],
        ["run", "--json", "/tmp"],
        ["svm", "--json", "/tmp"],
        ["run", "--jobs", "0"],
        ["run", "--shared-guest", "-j", "2"],
        ["run", "--rerun-failed", "c/pool"],
        ["run", "--rerun-failed", "--pattern", "SVM"],
        ["run", "--rerun-failed", "--fail-each"],
        ["run", "--maxfail", "0"],
        ["walk"],
    ],
)
def test_what_cannot_be_meant_is_usage(arguments: list[str], call: Call) -> None:
    assert call(*arguments) == 2


def test_json_is_alone_on_standard_output(
    call: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ending(monkeypatch, (Verdict.CLEAN, True))
    assert call("run", "--json", "-") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["ok"] is True
    assert "1 scenario: 1 clean" in captured.err


def test_without_debug_info_the_report_stands_and_says_so(
    call: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ending(monkeypatch, (Verdict.CLEAN, True))
    assert call("run") == 0
    assert "no source lines: cannot read /no/such/module" in capsys.readouterr().err


def test_what_cannot_be_written_is_refused_before_the_run(
    tmp_path: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    # Of a file system that has no such files, which the folder's permissions do not tell.
    assert call("run", "--html", "/proc/report.html") == 2
    assert "cannot write /proc/report.html: " in capsys.readouterr().err
    # An attempt leaves nothing, and harms nothing.
    there = tmp_path / "there"
    there.write_text("old")
    for file in (there, tmp_path / "new", Path("/dev/null")):
        writable(file)
    assert there.read_text() == "old"
    assert not (tmp_path / "new").exists()
    link = tmp_path / "link"
    link.symlink_to("new")
    writable(link)
    assert link.is_symlink()
    assert not (tmp_path / "new").exists()


def test_files_are_written(
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ending(monkeypatch, (Verdict.CLEAN, True))
    names = {kind: str(tmp_path / f"report.{kind}") for kind in FILES}
    assert call("run", *(part for kind in names for part in (f"--{kind}", names[kind]))) == 0
    said = capsys.readouterr().err
    assert all(f"wrote {name}\n" in said for name in names.values())
    assert json.loads(Path(names["json"]).read_text())["schema"] == "freeonce/run/1"
    assert "<testsuite" in Path(names["junit"]).read_text()
    assert "a/0" in Path(names["html"]).read_text()
    assert json.loads(Path(names["sarif"]).read_text())["version"] == "2.1.0"
    assert b"a/0: clean" in Path(names["trace"]).read_bytes()


@pytest.mark.parametrize(("ok", "status"), [(True, 0), (False, 3)])
def test_doctor_says_whether_run_can_go_ahead(
    ok: bool,
    status: int,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checks = (doctor.Check("QEMU", ok, True, "x"), doctor.Check("KVM", False, False, "y"))
    monkeypatch.setattr(doctor, "checks", lambda *_: checks)
    assert call("doctor", "--json") == status
    assert json.loads(capsys.readouterr().out)["ok"] is ok


def test_quiet_says_nothing_when_all_is_as_expected(
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ending(monkeypatch, (Verdict.CLEAN, True))
    assert call("run", "--quiet") == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "booting" not in captured.err


def test_quiet_says_what_is_not_as_expected(
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ending(monkeypatch, (Verdict.CLEAN, True), (Verdict.FAULTY, False))
    assert call("run", "-q") == 1
    out = capsys.readouterr().out
    assert "a/1" in out
    assert "a/0" not in out
    assert "2 scenarios: 1 clean, 1 faulty" in out


def test_quiet_and_verbose_exclude_each_other(
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ending(monkeypatch, (Verdict.CLEAN, True))
    assert call("run", "-q", "-v") == 2


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {kind: tmp_path / f"report.{kind}" for kind in FILES}


def options(files: dict[str, Path]) -> list[str]:
    return [part for kind, file in files.items() for part in (f"--{kind}", str(file))]


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), 130), (ZeroDivisionError(), 70)]
)
def test_a_run_that_is_broken_off_leaves_reports_of_what_was_done(
    error: BaseException,
    status: int,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    ending(monkeypatch, (Verdict.CLEAN, True), (Verdict.CLEAN, True), then=error)
    assert call("run", *options(files)) == status
    told = "broken off after 2 of 3"
    assert told in capsys.readouterr().out
    document = json.loads(files["json"].read_text())
    assert [one["name"] for one in document["scenarios"]] == ["a/0", "a/1"]
    assert (document["ok"], document["broken_off"]) == (False, told)
    (suite,) = JUnitXml.fromstring(files["junit"].read_bytes())
    assert (suite.tests, suite.errors) == (3, 1)
    assert told in files["html"].read_text()
    (log,) = json.loads(files["sarif"].read_text())["runs"]
    assert log["invocations"][0]["executionSuccessful"] is False
    assert b"a/1: clean" in files["trace"].read_bytes()


def test_files_are_written_while_the_run_goes_on(
    call: Call, monkeypatch: pytest.MonkeyPatch, files: dict[str, Path]
) -> None:
    """Who is killed then leaves them."""
    seen = []

    class Killed(BaseException):
        def __init__(self) -> None:
            document = json.loads(files["json"].read_text())
            seen.append((len(document["scenarios"]), document["broken_off"], document["ok"]))

    monkeypatch.setattr(telling, "EVERY_SECONDS", 0)
    monkeypatch.setattr(pace, "EVERY_SECONDS", 0)
    monkeypatch.setattr(pace, "SHARE", 0)
    ending(monkeypatch, (Verdict.CLEAN, True), (Verdict.CLEAN, True), then=Killed)
    with pytest.raises(Killed):
        call("run", *options(files))
    assert seen == [(2, "broken off after 2 of 3", False)]


EVERY_FORMAT = {
    "report.json",
    "report.xml",
    "report.html",
    "report.sarif",
    "report.pftrace",
    "acquired.folded",
    "acquired-count.folded",
}


def test_a_folder_has_every_format_after_each_result(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also of whom nothing can tell that it is being killed: what is there is whole."""
    out = tmp_path / "new" / "out"
    seen = []

    class Killed(BaseException):
        def __init__(self) -> None:
            document = json.loads((out / "report.json").read_text())
            seen.append((document["broken_off"], document["not_run"], {*map(str, names(out))}))
            JUnitXml.fromstring((out / "report.xml").read_bytes())
            json.loads((out / "report.sarif").read_text())
            assert "a/0" in (out / "report.html").read_text()

    out.mkdir(parents=True)
    (out / "report.html").write_text("of an earlier run")
    (out / "mine.txt").write_text("not ours")
    ending(monkeypatch, (Verdict.CLEAN, True), then=Killed)
    with pytest.raises(Killed):
        call("run", "--out", str(out))
    assert seen == [("broken off after 1 of 2", ["a/1"], {*EVERY_FORMAT, "mine.txt"})]


def names(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


def test_a_folder_has_nothing_of_an_earlier_run(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "report.json").write_text("{}")
    ending(monkeypatch, then=KeyboardInterrupt())
    assert call("run", "--out", str(tmp_path)) == 130
    assert not {*names(tmp_path)} & EVERY_FORMAT


def test_a_format_of_its_own_option_goes_there(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ending(monkeypatch, (Verdict.CLEAN, True))
    assert call("run", "--out", str(tmp_path / "out"), "--json", str(tmp_path / "x.json")) == 0
    assert json.loads((tmp_path / "x.json").read_text())["not_run"] == []
    assert {*names(tmp_path / "out")} == EVERY_FORMAT - {"report.json"}


def test_a_folder_keeps_what_it_has_until_it_is_known_what_runs(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "report.json").write_text("{}")
    ending(monkeypatch)
    monkeypatch.setattr(progress, "run_all", run_all)
    crew = SimpleNamespace(scenarios=tuple)
    monkeypatch.setattr(verb_run, "crew_of", lambda *_: nullcontext(crew))
    assert call("run", "--out", str(tmp_path), "no/such") == 2
    assert names(tmp_path) == ["report.json"]


def test_what_an_earlier_run_left_and_cannot_be_removed_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "unlink", fail)
    with pytest.raises(HostError, match=r"cannot remove .*report.json: Permission denied"):
        outputs.empty(tmp_path)


def test_a_folder_that_cannot_be_had_is_usage(call: Call, tmp_path: Path) -> None:
    (tmp_path / "report.xml").mkdir()
    assert call("run", "--out", str(tmp_path)) == 2


def test_after_so_many_failures_the_rest_is_told_and_not_run(
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = (Verdict.FAULTY, False)
    ending(monkeypatch, wrong, (Verdict.CLEAN, True), wrong, (Verdict.CLEAN, True), wrong)
    assert call("run", "--maxfail", "2", "--json", str(tmp_path / "x.json")) == 1
    said = capsys.readouterr().out
    assert "broken off after 3 of 5, as --maxfail 2 asks" in said
    assert "not run: a/3, a/4" in said
    document = json.loads((tmp_path / "x.json").read_text())
    assert (document["ok"], document["not_run"]) == (False, ["a/3", "a/4"])


def test_every_report_of_a_run_that_was_broken_off_names_what_was_not_run(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wrong, good = (Verdict.FAULTY, False), (Verdict.CLEAN, True)
    ending(monkeypatch, wrong, *[good] * (MOST_NAMED + 2))
    assert call("run", "--maxfail", "1", "--out", str(tmp_path)) == 1
    last = f"a/{MOST_NAMED}"
    for name in ("report.xml", "report.html", "report.sarif", "report.pftrace"):
        said = (tmp_path / name).read_text(errors="replace")
        assert "broken off after 1 of 23" in said
        assert "a/1, a/2, " in said
        assert f"{last} and 2 more" in said


def test_the_files_of_failures_name_what_was_not_run(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ending(monkeypatch)
    scenarios = [SimpleNamespace(name=name) for name in ("a/0", "a/1")]

    def points(*_: object) -> Iterator[Points]:
        yield Points(replace(result("a/0", run().end().settle()), as_expected=False), (), 0)

    monkeypatch.setattr(progress, "chosen_for_failures", lambda *_: (scenarios, ()))
    monkeypatch.setattr(progress, "run_each", points)
    crew = SimpleNamespace(scenarios=tuple)
    monkeypatch.setattr(verb_run, "crew_of", lambda *_: nullcontext(crew))
    file = tmp_path / "x.json"
    assert call("run", "--fail-each", "--maxfail", "1", "--json", str(file)) == 1
    document = json.loads(file.read_text())
    assert (document["ok"], document["not_run"]) == (False, ["a/1"])


def test_the_last_of_all_failing_breaks_nothing_off(
    call: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ending(monkeypatch, (Verdict.CLEAN, True), (Verdict.FAULTY, False))
    assert call("run", "--maxfail", "1") == 1
    assert "broken off" not in capsys.readouterr().out


def chosen_again(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The names that each later run is asked to run again."""
    seen: list[tuple[str, ...]] = []
    plain = vars(progress)["run_all"]

    def noted(crew: object, patterns: object, options: Options, **rest: Any) -> Iterator[Result]:
        seen.append(options.again)
        results: Iterator[Result] = plain(crew, patterns, options, **rest)
        return results

    monkeypatch.setattr(progress, "run_all", noted)
    return seen


def test_what_failed_and_what_was_not_reached_runs_again(
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good, wrong = (Verdict.CLEAN, True), (Verdict.FAULTY, False)
    ending(monkeypatch, good, wrong, good, then=KeyboardInterrupt())
    assert call("run") == 130
    ending(monkeypatch, good)  # a/0 alone: what stays open is not forgotten
    assert call("run", "a/0") == 0
    ending(monkeypatch, good, good, good, good)
    seen = chosen_again(monkeypatch)
    assert call("run", "--rerun-failed") == 0
    assert seen == [("a/1", "a/3")]
    assert json.loads((tmp_path / "open.json").read_text())["open"] == []
    capsys.readouterr()
    assert call("run", "--rerun-failed") == 2
    assert "nothing to run again: everything was as expected" in capsys.readouterr().err


def test_what_the_guest_has_no_more_is_not_open(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    good, wrong = (Verdict.CLEAN, True), (Verdict.FAULTY, False)
    ending(monkeypatch, wrong, wrong)
    assert call("run") == 1
    ending(monkeypatch, good, known=1)
    assert call("run") == 0
    assert json.loads((tmp_path / "open.json").read_text())["open"] == []
    # Also where nothing else is to run again: that ends once.
    (tmp_path / "open.json").write_text('{"schema": "freeonce/open/1", "open": ["gone"]}')
    monkeypatch.setattr(progress, "run_all", run_all)
    scenarios = [result("a/0", run().end().settle()).scenario]
    crew = SimpleNamespace(scenarios=lambda: scenarios)
    monkeypatch.setattr(verb_run, "crew_of", lambda *_: nullcontext(crew))
    assert call("run", "--rerun-failed") == 2
    assert json.loads((tmp_path / "open.json").read_text())["open"] == []


def test_of_two_runs_at_once_neither_forgets_what_the_other_left_open(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "open.json"
    keep_open(file, news({"a/3"}, {"a/3"}))

    def meanwhile() -> BaseException:
        keep_open(file, news({"a/3", "a/4"}, {"a/4"}))
        return KeyboardInterrupt()

    ending(monkeypatch, (Verdict.FAULTY, False), then=meanwhile)
    assert call("run") == 130
    assert json.loads(file.read_text())["open"] == ["a/0", "a/1", "a/4"]


def news(planned: set[str], failed: set[str]) -> News:
    known = frozenset(f"a/{index}" for index in range(9))
    return News(known, frozenset(planned), frozenset(failed))


def test_nobody_writes_what_is_open_while_another_does(tmp_path: Path) -> None:
    file = tmp_path / "open.json"
    names = [f"a/{index}" for index in range(9)]
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda one: keep_open(file, news({one}, {one})), names))
    assert list(left_open(file)) == names


def test_nothing_can_run_again_where_nothing_ran(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("run", "--rerun-failed") == 2
    assert "nothing was run here yet" in capsys.readouterr().err
    (tmp_path / "open.json").write_text('{"schema": "freeonce/open/1", "open": "a/0"}')
    assert call("run", "--rerun-failed") == 2
    assert "it is not what freeonce writes" in capsys.readouterr().err


def test_a_run_with_failures_says_nothing_of_plain_ones(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ending(monkeypatch, (Verdict.FAULTY, False))
    call("run")
    before = (tmp_path / "open.json").read_text()
    ending(monkeypatch)
    monkeypatch.setattr(progress, "chosen_for_failures", lambda *_: ((), ()))
    monkeypatch.setattr(
        verb_run,
        "crew_of",
        lambda *_: nullcontext(SimpleNamespace(scenarios=tuple, run=lambda *_: iter(()))),
    )
    call("run", "--fail-each")
    assert (tmp_path / "open.json").read_text() == before


def test_a_report_that_cannot_be_made_hides_neither_verdict_nor_others(
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise KeyError("of ours")

    def full(file: Path, data: str | bytes) -> None:
        if file == files["junit"]:
            raise HostError("cannot-write", f"cannot write {file}: No space left on device")
        write(file, data)

    monkeypatch.setattr("freeonce.report.html.html_text", fail)
    monkeypatch.setattr(outputs, "write", full)
    for verdict, status in (((Verdict.FAULTY, False), 1), ((Verdict.CLEAN, True), 3)):
        ending(monkeypatch, verdict)
        assert call("run", *options(files)) == status
        said = capsys.readouterr()
        assert "1 scenario: " in said.out
        assert "junit: No space left on device" in said.err
        assert "KeyError" in said.err
        assert [kind for kind in FILES if files[kind].exists()] == ["json", "sarif", "trace"]


def test_a_file_is_whole_or_what_it_was(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("old")
    there.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to("there")
    write(link, "new")
    assert (there.read_text(), link.is_symlink()) == ("new", True)
    assert there.stat().st_mode & 0o777 == 0o640
    with pytest.raises(HostError, match="cannot write"):
        write(tmp_path / "no/such", "x")

    def stopped() -> Iterator[str]:
        yield "ne"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(HostError, match="No space left"):
        write(there, stopped())
    assert there.read_text() == "new"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link", "there"]


PROGRAM = [sys.executable, "-m", "freeonce"]


INTERRUPTED = """
import os, signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == "freeonce.cli.main":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder())
from freeonce.__main__ import main
main()
"""


def test_it_may_be_interrupted_while_it_is_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


@pytest.mark.parametrize("stderr", [">/dev/full", ">&-"])
def test_that_needs_nobody_who_hears_of_it(stderr: str) -> None:
    words = ["sh", "-c", f'exec "$0" -c "$1" 2{stderr}', sys.executable, INTERRUPTED]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")


PRINTED = """
from freeonce.cli import main as program

def printed():
    print("a report")
    raise KeyboardInterrupt

program.main = printed
from freeonce.__main__ import main
main()
"""


def test_what_was_printed_before_an_interrupt_is_written() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRINTED], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "a report\n", "interrupted\n")


TOO_LATE = """
import os, signal, sys, threading, time

class Late:
    def __del__(self, kill=os.kill, us=os.getpid(), number=int(sys.argv[1]), sleep=time.sleep):
        kill(us, number)
        sleep(0.1)

late = Late()  # goes with this module, when Python is nearly over
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["freeonce", "--version"]
from freeonce.__main__ import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_comes_when_all_is_over_is_no_status(number: signal.Signals) -> None:
    words = [sys.executable, "-c", TOO_LATE, str(int(number))]
    done = subprocess.run(words, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def forsaken() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.parametrize("verb", [["explain"], ["doctor", "--json"]])
@pytest.mark.parametrize(
    ("opened", "words"),
    [(forsaken, b"the reader"), (full, b"No space left")],
)
def test_a_full_or_forsaken_standard_output_is_no_verdict(
    verb: list[str], opened: Callable[[], int], words: bytes
) -> None:
    with os.fdopen(opened(), "wb") as stdout:
        done = subprocess.run([*PROGRAM, *verb], stdout=stdout, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 3
    assert words in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_terminal_of_few_letters_is_no_error() -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "20"}
    for rule in ("leak", "use-after-free"):
        done = subprocess.run(
            [*PROGRAM, "explain", rule], env=env, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")


def test_only_what_a_report_needs_is_kept() -> None:
    """Of many runs the evidence would be hundreds of megabytes; pictures alone need all of it."""
    history = run().stack(0x40, 1).stack(0x80, 2).allocate(1, 0x1000).release(1, 0x1000)
    history.allocate(2, 0x9000)
    history.rows[-1]["site"] = 0x40
    one = result("a/leak", history.end().settle())
    words, pictures = Gathered(), Gathered(pictures=True)
    for gathered in (words, pictures):
        gathered.add(one)
    (kept,) = words.results
    assert kept == one
    assert len(kept.evidence.records) == 0
    assert kept.evidence.records.base is None
    assert kept.evidence.memory is None
    assert kept.evidence.told.stacks.keys() == {0x40}
    assert pictures.results[0].evidence is one.evidence


@pytest.mark.parametrize(
    ("terminal", "said"), [(False, "one two\nthree\n"), (True, "one two \nthree\n")]
)
def test_a_line_that_is_broken_ends_in_no_blank_where_no_terminal_shows_it(
    terminal: bool, said: str
) -> None:
    file = io.StringIO()
    Out(file=file, width=8, force_terminal=terminal, highlight=False).print(Text("one two three"))
    assert file.getvalue() == said


@pytest.mark.parametrize("terminal", [False, True])
def test_words_are_printed_as_they_are(terminal: bool) -> None:
    """rich takes `:bomb:` for a picture and `[bold]` for markup, also where it is told neither."""
    file = io.StringIO()
    said = "mine/:bomb: [bold]x[/bold] [/nothing]"
    Out(file=file, width=80, force_terminal=terminal, highlight=False).print(said)
    assert file.getvalue() == f"{said}\n"
