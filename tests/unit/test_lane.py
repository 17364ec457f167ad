"""The KVM lane without any QEMU: the outer machine's life, what it leaves, what is compared."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from freeonce.cli import lane as verb
from freeonce.cli import main
from freeonce.deadline import PATIENCE_VARIABLE, Deadline
from freeonce.errors import CommandFailed, EvidenceError, FreeonceError, OuterLost
from freeonce.project.accelerator import Accelerator
from freeonce.project.host import Qemu
from freeonce.project.image import OuterImage
from freeonce.survey.lane import inside
from freeonce.survey.lane.argv import SCRATCH, OuterConfig, outer_argv, script
from freeonce.survey.lane.differences import (
    Declared,
    Difference,
    compare,
    outcomes,
    parse_run,
)
from freeonce.survey.lane.outer import (
    BOOTS,
    MISJUDGED,
    Left,
    exit_status_of,
    read_left,
    run_in_outer,
)

ROOT = Path(__file__).resolve().parents[2]
FAKE_QEMU = Path(__file__).with_name("fake_qemu.py")
IMAGE = OuterImage(Path("/image/boot"), "6.1.0", Path("/image/outer.cpio"))
CONFIG = OuterConfig(str(FAKE_QEMU), IMAGE)
FOLDER = Path("/tmp/freeonce-x")


def values(argv: tuple[str, ...], name: str) -> list[str]:
    return [argv[index + 1] for index, one in enumerate(argv) if one == name]


def test_the_outer_machine_has_svm_and_as_many_threads_as_cpus() -> None:
    argv = outer_argv(replace(CONFIG, cpus=3), FOLDER)
    assert values(argv, "-cpu") == ["max,+svm,+npt"]
    assert values(argv, "-accel") == ["tcg,thread=multi"]
    assert values(argv, "-smp") == ["3"]
    assert values(argv, "-kernel") == ["/image/boot"]
    assert values(argv, "-initrd") == ["/image/outer.cpio"]


def test_the_outer_machine_can_only_read_this_host_and_reaches_no_network() -> None:
    argv = outer_argv(CONFIG, FOLDER)
    host, scratch = values(argv, "-virtfs")
    assert {"path=/", "readonly=on", "mount_tag=host"} <= set(host.split(","))
    assert f"path={FOLDER}/scratch" in scratch.split(",")
    assert values(argv, "-nic") == ["none"]


def test_the_keeper_knows_the_outer_machine_for_its_own() -> None:
    """It looks for `path=FOLDER/` in the arguments of what is called qemu."""
    assert any(f"path={FOLDER}/" in one for one in outer_argv(CONFIG, FOLDER))


def test_no_end_of_the_outer_machine_leaves_qemu_waiting() -> None:
    argv = outer_argv(CONFIG, FOLDER)
    assert "-no-reboot" in argv
    assert "panic=-1" in values(argv, "-append")[0].split()


def test_harness_and_init_agree_on_the_names() -> None:
    init = (ROOT / "guest/outer/init").read_text()
    assert f'echo "{MISJUDGED.decode().strip()}" >/root{SCRATCH}/status' in init
    assert f"/root{SCRATCH} " in init or f"/root{SCRATCH}\n" in init
    assert f"{SCRATCH}/command" in init
    assert f"/root{SCRATCH}/status" in init


def test_the_script_hands_on_words_environment_and_status_as_they_are(tmp_path: Path) -> None:
    nasty = "a b'\"$HOME\n*;#"
    code = "import os, sys; print('lost'); sys.stderr.write(sys.argv[1] + os.environ['V']); exit(7)"
    file = tmp_path / "command"
    file.write_text(script([sys.executable, "-c", code, nasty], {"V": nasty}))
    done = subprocess.run(["/bin/sh", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "", nasty + nasty)


@pytest.mark.parametrize("status", [0, 1, 139])
def test_a_status_is_read(status: int) -> None:
    assert exit_status_of(b"exit %d\n" % status) == status


@pytest.mark.parametrize(
    "told",
    [None, b"", b"0\n", b"exit 0", b"exit \n", b"exit -1\n", b"exit 0\nexit 0\n", b"exit 1000\n"],
)
def test_a_status_that_is_missing_or_garbled_is_none(told: bytes | None) -> None:
    with pytest.raises(EvidenceError):
        exit_status_of(told)


def test_only_a_plain_file_of_fair_size_is_read(tmp_path: Path) -> None:
    assert read_left(tmp_path / "missing", 4) is None
    (tmp_path / "file").write_bytes(b"1234")
    assert read_left(tmp_path / "file", 4) == b"1234"
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, most in (("link", 4), ("pipe", 4), ("folder", 4), ("file", 3)):
        with pytest.raises(EvidenceError):
            read_left(tmp_path / name, most)


class Outer:
    """Runs the fake outer machine; notes its folder and what it said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = monkeypatch
        self.said: list[str] = []

    def run(self, fake: str, told: Callable[[str], None] | None = None) -> Left:
        self.patch.setenv("FAKE", fake)
        told = told or self.said.append
        return run_in_outer(CONFIG, ["true"], {}, file="run.json", seconds=30, told=told)


@pytest.fixture
def outer(monkeypatch: pytest.MonkeyPatch) -> Outer:
    return Outer(monkeypatch)


def test_what_the_outer_machine_says_comes_line_by_line(outer: Outer) -> None:
    left = outer.run("say=booted say=\x1b[31mdone file={} status=4")
    assert outer.said == ["booted", "\\x1b[31mdone"]
    assert (left.status, left.file) == (4, b"{}")
    assert left.console == "booted\n\\x1b[31mdone"


def test_the_outer_machine_is_given_its_command(outer: Outer) -> None:
    outer.run("do status=0")
    assert "exec true >/dev/null" in outer.said


def test_a_file_that_was_not_left_is_none(outer: Outer) -> None:
    assert outer.run("status=0").file is None


@pytest.mark.parametrize(
    ("fake", "words"),
    [
        ("say=booted", "without reporting a status"),
        ("say=booted garble=exit", "told no exit status"),
        ("say=booted status=0 crash", "ended with status 1: failed to emulate"),
    ],
)
def test_an_outer_machine_without_a_status_is_lost(fake: str, words: str, outer: Outer) -> None:
    with pytest.raises(OuterLost, match=words) as lost:
        outer.run(fake)
    assert lost.value.console == "booted"


def test_where_the_kernel_misjudged_its_clock_it_is_booted_again(
    outer: Outer, tmp_path: Path
) -> None:
    boots = tmp_path / "boots"
    boots.write_text(str(BOOTS - 1))
    assert outer.run(f"say=booted clocks={boots}").status == 0
    assert outer.said.count("booted") == BOOTS
    assert sum("misjudged its clock" in one for one in outer.said) == BOOTS - 1


def test_a_clock_that_is_misjudged_each_time_is_a_lost_machine(
    outer: Outer, tmp_path: Path
) -> None:
    boots = tmp_path / "boots"
    boots.write_text("1000")
    with pytest.raises(OuterLost, match=f"misjudged its clock {BOOTS} times"):
        outer.run(f"clocks={boots}")
    assert boots.read_text() == str(1000 - BOOTS)


@pytest.mark.usefixtures("usual_speed")
def test_an_outer_machine_that_hangs_ends_at_its_deadline(
    outer: Outer, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadlines: list[Deadline] = []

    def noted(seconds: float, purpose: str) -> Deadline:
        deadlines.append(Deadline(seconds, purpose))
        return deadlines[0]

    def pass_by(_: str) -> None:
        deadlines[0]._end = 0

    monkeypatch.setattr("freeonce.survey.lane.outer.Deadline", noted)
    with pytest.raises(OuterLost, match="the outer machine took more than 30 s") as lost:
        outer.run("say=booted hang", told=pass_by)
    assert lost.value.console == "booted"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OuterLost("the outer machine took more than 300 s"), 5),
        (EvidenceError("freeonce chose tcg, not kvm, by itself"), 4),
        (CommandFailed("ended with status 3 and wrote no report"), 4),
    ],
)
def test_only_a_lost_outer_machine_has_its_own_status(error: FreeonceError, status: int) -> None:
    """CI lets that one pass, and nothing else in which KVM never ran."""
    assert main._report(error) == status


@pytest.mark.parametrize(("status", "passes"), [(0, True), (1, False), (4, False), (5, True)])
def test_ci_lets_only_a_lost_outer_machine_pass(status: int, passes: bool, tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    script = tmp_path / ".ci/run"
    script.write_bytes((ROOT / ".ci/run").read_bytes())
    program = tmp_path / ".venv/bin/freeonce"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\nexit {status}\n")
    make = tmp_path / "bin/make"
    make.parent.mkdir()
    make.write_text("#!/bin/sh\n")
    for one in (program, make):
        one.chmod(0o755)
    environment = {**os.environ, "PATH": f"{make.parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", str(script)], env=environment, check=False, timeout=60)
    assert (done.returncode == 0) == passes


def test_the_run_inside_takes_what_this_host_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATIENCE_VARIABLE, "2")
    environment = inside.environment(Path("build/x.json"), Qemu("/opt/qemu", "7.2"))
    assert environment["FREEONCE_IMAGE"] == str(Path.cwd() / "build/x.json")
    assert environment["FREEONCE_QEMU"] == "/opt/qemu"
    assert float(environment[PATIENCE_VARIABLE]) == 2 * inside.SLOWER


def test_the_run_inside_must_find_kvm_by_itself() -> None:
    command = inside.command(["svm/*"])
    assert command[0] == sys.executable
    assert command[command.index("--accel") + 1] == "auto"
    assert command[-2:] == ["--", "svm/*"]
    assert "--no-faults" not in inside.command([])


@pytest.mark.parametrize(
    "left", [Left(0, None, "x"), Left(3, b"{}", "no-kvm"), Left(137, None, "")]
)
def test_a_run_inside_without_a_report_failed(left: Left) -> None:
    with pytest.raises(CommandFailed, match=f"ended with status {left.status}"):
        inside.document_of(left)


def test_a_run_inside_that_took_tcg_is_no_evidence_of_kvm() -> None:
    document: dict[str, object] = {"host": {"accelerator": "tcg", "reason": "the probe hung"}}
    with pytest.raises(EvidenceError, match="chose tcg, not kvm, by itself: the probe hung"):
        inside.under_kvm(document)
    with pytest.raises(EvidenceError, match="chose None"):
        inside.under_kvm({})
    document = {"host": {"accelerator": "kvm"}}
    assert inside.under_kvm(document) is document


FINDING = {"rule": "leak", "kind": "pool", "pointer": "0x1", "site": "0x2", "what": "bar"}


def a_run(**scenario: object) -> dict[str, object]:
    """A run's JSON with one scenario `a/b`, changed as told."""
    plain = {
        "name": "a/b",
        "verdict": "faulty",
        "as_expected": True,
        "allocations": 2,
        "releases": 1,
        "findings": [FINDING],
    }
    return {"schema": "freeonce/run/1", "ok": True, "scenarios": [{**plain, **scenario}]}


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("verdict", "clean", "clean"),
        ("as_expected", False, "False"),
        ("allocations", 3, "3"),
        ("releases", 2, "2"),
        ("findings", [], "none"),
        ("findings", [{**FINDING, "rule": "double-free"}], "double-free (pool) what 'bar'"),
        ("findings", [{**FINDING, "kind": "contiguous"}], "leak (contiguous) what 'bar'"),
        ("findings", [{**FINDING, "what": "foo"}], "leak (pool) what 'foo'"),
        ("findings", [{**FINDING, "at": "drop"}], "leak (pool) at 'drop' what 'bar'"),
        ("findings", [FINDING] * 2, "leak (pool) what 'bar'; leak (pool) what 'bar'"),
    ],
)
def test_what_counts_is_compared(field: str, value: object, told: str) -> None:
    compared = compare(outcomes(a_run()), outcomes(a_run(**{field: value})), ())
    (one,) = compared.unexplained
    assert (one.scenario, one.field, one.kvm) == ("a/b", field, told)
    assert not compared.ok
    assert compared.same == 0


@pytest.mark.parametrize(
    "scenario",
    [
        {"seconds": 9.9},
        {"events": 99},
        {"findings": [{**FINDING, "pointer": "0x9", "site": "0x9", "serial": 7}]},
    ],
)
def test_addresses_and_times_are_not(scenario: dict[str, object]) -> None:
    compared = compare(outcomes(a_run()), outcomes(a_run(**scenario)), ())
    assert (compared.ok, compared.same) == (True, 1)


def test_the_order_of_findings_is_not() -> None:
    other = {**FINDING, "rule": "double-free"}
    one, two = a_run(findings=[FINDING, other]), a_run(findings=[other, FINDING])
    assert compare(outcomes(one), outcomes(two), ()).ok


def test_a_scenario_that_did_not_run_is_a_difference() -> None:
    compared = compare(outcomes(a_run()), {}, ())
    assert compared.unexplained == (Difference("a/b", "scenario", "ran", "absent"),)
    compared = compare({}, outcomes(a_run()), ())
    assert compared.unexplained == (Difference("a/b", "scenario", "absent", "ran"),)


DECLARED = Declared("a/*", "releases", "KVM does so.", "the manual")


def test_a_declared_difference_is_explained_and_only_that() -> None:
    compared = compare(outcomes(a_run()), outcomes(a_run(releases=5)), (DECLARED,))
    assert compared.ok
    assert compared.explained == ((Difference("a/b", "releases", "1", "5"), DECLARED),)
    compared = compare(outcomes(a_run()), outcomes(a_run(releases=5, allocations=9)), (DECLARED,))
    assert [one.field for one in compared.unexplained] == ["allocations"]
    other = replace(DECLARED, scenarios="c/*")
    assert not compare(outcomes(a_run()), outcomes(a_run(releases=5)), (other,)).ok


def test_a_declared_difference_that_is_gone_fails_where_it_could_have_been() -> None:
    compared = compare(outcomes(a_run()), outcomes(a_run()), (DECLARED,))
    assert (compared.ok, compared.gone) == (False, (DECLARED,))
    elsewhere = replace(DECLARED, scenarios="c/*")
    assert compare(outcomes(a_run()), outcomes(a_run()), (elsewhere,)).ok


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"{}", b'{"schema": "freeonce/run/1"}', b'{"schema": "x"}', b"\xff"]
)
def test_what_is_no_run_is_no_evidence(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        outcomes(parse_run(data))


def test_a_run_that_names_a_scenario_twice_or_half_is_no_evidence() -> None:
    run = a_run()
    assert isinstance(run["scenarios"], list)
    with pytest.raises(EvidenceError, match="twice"):
        outcomes({**run, "scenarios": run["scenarios"] * 2})
    for broken in ({"findings": [7]}, {"findings": None}, {"allocations": "many"}):
        with pytest.raises(EvidenceError):
            outcomes(a_run(**broken))


KVM = Accelerator("kvm", "KVM runs guests with SVM here")
TCG = Accelerator("tcg", "KVM offers guests no SVM")


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """`freeonce lane` on a host of one's choice; what it ran, and what came of it."""
    told = SimpleNamespace(ran=[], chosen=TCG, documents={}, status=None)

    def run(accel: str, _patterns: tuple[str, ...]) -> dict[str, object]:
        told.ran.append(f"here {accel}")
        document: dict[str, object] = told.documents.get(accel, a_run())
        return document

    def outer(*_: object) -> dict[str, object]:
        told.ran.append("outer")
        document: dict[str, object] = told.documents.get("outer", a_run())
        return document

    def call(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["freeonce", "lane", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.main()
        return int(str(ended.value.code or 0))

    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(verb, "find_qemu", lambda: Qemu("/usr/bin/qemu", "7.2"))
    monkeypatch.setattr(verb, "choose_accelerator", lambda *_: told.chosen)
    monkeypatch.setattr(verb, "_run_here", run)
    monkeypatch.setattr(verb, "_run_outer", outer)
    told.call = call
    return told


def test_without_svm_kvm_runs_in_an_outer_machine(program: SimpleNamespace) -> None:
    assert program.call() == 0
    assert program.ran == ["here tcg", "outer"]


def test_with_svm_kvm_runs_here(program: SimpleNamespace) -> None:
    program.chosen = KVM
    assert program.call() == 0
    assert program.ran == ["here tcg", "here auto"]


@pytest.mark.parametrize(("chosen", "place"), [(KVM, "here"), (TCG, "outer")])
def test_where_it_would_run_is_told_without_running(
    chosen: Accelerator,
    place: str,
    program: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program.chosen = chosen
    assert program.call("--where") == 0
    assert capsys.readouterr().out == f"{place}: {chosen.reason}\n"
    assert program.ran == []


def test_a_difference_fails_the_lane_and_is_in_its_json(
    program: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    program.documents["outer"] = a_run(verdict="clean")
    assert program.call("--json", "-") == 1
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert (document["ok"], document["where"], document["same"]) == (False, "outer", 0)
    assert document["unexplained"] == [
        {"scenario": "a/b", "field": "verdict", "tcg": "faulty", "kvm": "clean"}
    ]
    assert re.search(r"a/b: verdict: TCG faulty, KVM clean", captured.err)


def test_two_runs_that_are_wrong_alike_fail_the_lane(program: SimpleNamespace) -> None:
    program.documents = {name: {**a_run(), "ok": False} for name in ("tcg", "outer")}
    assert program.call() == 1


def test_json_that_cannot_be_written_is_refused_before_the_run(program: SimpleNamespace) -> None:
    assert program.call("--json", "/no/such/folder/x.json") == 2
    assert program.ran == []


def test_what_is_declared_of_another_place_says_nothing() -> None:
    declared = (Declared("a/b", "verdict", "why", "source", place="here"),)
    same = compare(outcomes(a_run()), outcomes(a_run()), declared, "outer")
    assert same.gone == ()
    other = compare(outcomes(a_run()), outcomes(a_run(verdict="clean")), declared, "outer")
    assert len(other.unexplained) == 1
