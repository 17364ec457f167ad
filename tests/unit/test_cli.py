"""The command line: exit statuses, and what goes to standard output."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from freeonce.audit.model import Judgement, Verdict
from freeonce.audit.result import Result
from freeonce.cli import doctor, main, progress, run, svm
from freeonce.cli.output import writable
from freeonce.errors import GuestLost, HostError, UsageError
from freeonce.evidence.scenarios import Scenario

HOST = dict.fromkeys(("accelerator", "reason", "qemu", "kernel", "rust"), "x")
Call = Callable[..., int]
FILES = ("json", "junit", "html", "sarif", "trace")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs the program with arguments; its exit status."""

    def program(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["freeonce", *arguments])
        monkeypatch.setattr("signal.signal", lambda *_: None)
        with pytest.raises(SystemExit) as ended:
            main.main()
        code = ended.value.code
        return code if isinstance(code, int) else 0

    return program


def ending(monkeypatch: pytest.MonkeyPatch, *verdicts: tuple[Verdict, bool]) -> None:
    """A run that comes to these verdicts, as expected or not."""
    image = SimpleNamespace(module=Path("/no/such/module"))
    setting = SimpleNamespace(document=lambda: HOST, image=image)

    def results(*_: object, **__: object) -> Iterator[Result]:
        for index, (verdict, as_expected) in enumerate(verdicts):
            scenario = Scenario(index, f"a/{index}", "S", "C", None, "L.", ())
            judgement = Judgement(verdict, (), (), 0, 0, 0, 2, {})
            yield Result(scenario, judgement, as_expected, {}, 0.1)

    for verb in (run, svm):
        monkeypatch.setattr(verb, "find_setting", lambda _: setting)
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
    def fail(_: str) -> None:
        raise error

    monkeypatch.setattr(run, "find_setting", fail)
    assert call("run") == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert str(error) in captured.err


def test_an_error_that_nobody_expected_is_no_verdict(
    call: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: str) -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(run, "find_setting", fail)
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
        ["run", "--fail-each", "--sarif", "x.sarif"],
        ["run", "--fail-each", "--repeat", "2"],
        ["run", "--json", "/no/such/folder/x.json"],
        ["run", "--json", "/tmp"],
        ["svm", "--json", "/tmp"],
        ["run", "--jobs", "0"],
        ["run", "--shared-guest", "-j", "2"],
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
    assert "no lines of source: cannot read /no/such/module" in capsys.readouterr().err


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
    monkeypatch.setattr(doctor, "checks", lambda: checks)
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
