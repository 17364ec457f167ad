"""Which workers are taken out of a campaign, and which tasks are given again."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from freeonce.campaign import images, perform
from freeonce.campaign.identity import harness, kernel_digest, subject_digest
from freeonce.campaign.outcome import Outcome, from_text
from freeonce.campaign.trust import AT_ONCE, OF_THE_TASK, TIMES, TRIES, Trust
from freeonce.errors import GuestLost, HostError, UsageError
from freeonce.run import hire


def test_a_worker_is_out_once_after_so_many_refusals_for_one_reason() -> None:
    trust = Trust()
    told = [trust.refused("w", "no kvm") for _ in range(TIMES + 2)]
    assert told == [False] * (TIMES - 1) + [True] + [False] * 2


def test_what_it_did_meanwhile_clears_it() -> None:
    trust = Trust()
    for _ in range(5 * TIMES):
        assert not trust.refused("w", "no kvm")
        trust.did("w")


def test_other_workers_and_other_reasons_count_for_themselves() -> None:
    trust = Trust()
    for number in range(TIMES - 1):
        assert not trust.refused("w", "no kvm")
        assert not trust.refused("w", "no space")
        assert not trust.refused(f"other {number}", "no kvm")


def test_a_task_is_given_so_often_and_no_more() -> None:
    trust = Trust()
    told = [trust.again("t", f"w{number}") for number in range(TRIES)]
    assert told == [True] * (TRIES - 1) + [False]
    assert trust.again("u", "w0")


def test_a_task_goes_to_those_that_did_not_refuse_it() -> None:
    trust = Trust()
    trust.again("t", "a")
    assert trust.others("t", ["a", "b"]) == {"b"}
    assert trust.others("u", ["a", "b"]) == {"a", "b"}


@pytest.mark.parametrize(
    ("error", "by_host", "reason"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), True, "system"),
        (HostError("no-qemu", "none"), True, "no-qemu"),
        (UsageError("no such name"), False, ""),
    ],
)
def test_what_a_host_lacks_is_its_refusal_and_no_result(
    monkeypatch: pytest.MonkeyPatch, error: Exception, by_host: bool, reason: str
) -> None:
    def never(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(perform, "_setting", never)
    body = {"accel": "tcg", "kind": "audit", "image": "1", "harness": harness()}
    outcome = from_text(perform.perform(json.dumps(body)))
    assert (outcome.by_host, outcome.reason, bool(outcome.refused)) == (by_host, reason, True)


def test_a_worker_with_another_harness_refuses_and_names_both() -> None:
    body = {"accel": "tcg", "kind": "audit", "image": "1", "harness": "0.9+theirs"}
    outcome = from_text(perform.perform(json.dumps(body)))
    assert (outcome.by_host, outcome.reason) == (True, AT_ONCE)
    assert harness() in outcome.refused
    assert "0.9+theirs" in outcome.refused


def test_a_worker_with_another_harness_is_taken_out_at_once() -> None:
    trust = Trust()
    assert [trust.refused("w", AT_ONCE) for _ in range(2)] == [True, False]


def test_a_worker_without_the_image_says_which() -> None:
    body = {"accel": "tcg", "kind": "audit", "image": "no such", "harness": harness()}
    outcome = from_text(perform.perform(json.dumps(body)))
    assert (outcome.by_host, outcome.reason) == (True, perform.NO_IMAGE)
    assert "no such" in outcome.refused


def an_image(folder: Path, manifest: Path = Path("/image/manifest.json")) -> Any:
    return SimpleNamespace(manifest=manifest, modules=folder, headers=folder, headers_source=None)


FOLDER = "{folder}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"digests": {f"{FOLDER}/loop-x.ko": "another"}}, "loop-x.ko"),
        ({"digests": {f"{FOLDER}/gone.sh": "another"}}, "gone.sh"),
        ({"subjects": {f"{FOLDER}/loop-x.ko": "another"}}, "loop-x.ko"),
        ({"subjects": {f"{FOLDER}/gone.ko": "another"}}, "gone.ko"),
        ({"modules": {"loop-x": "another"}}, "loop-x"),
        ({"modules": {"gone": "another"}}, "gone"),
        ({"libraries": {}, "exercises": ["/bin/true"], "files": []}, "libc"),
        ({"libraries": {"/lib/gone.so": "1"}, "exercises": [], "files": []}, "gone.so"),
    ],
)
def test_what_is_another_or_not_there_is_the_workers_refusal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: dict[str, object], said: str
) -> None:
    image = an_image(tmp_path)
    monkeypatch.setattr(perform, "_setting", lambda *_: SimpleNamespace(image=image))
    # A missing module must not be taken for the folder that we stand in.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop-x.ko").write_text("one")
    body = {"accel": "tcg", "kind": "audit", "image": "1", "harness": harness()}
    body |= {"package": kernel_digest(image)}
    text = json.dumps(body | words).replace(FOLDER, str(tmp_path))
    outcome = from_text(perform.perform(text))
    assert (outcome.by_host, outcome.reason) == (True, OF_THE_TASK)
    assert said in outcome.refused


def test_another_kernel_package_is_the_workers_refusal_for_good(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    body = {"accel": "tcg", "kind": "audit", "image": "1", "harness": harness(), "package": "one"}
    for manifest, reason in (
        (tmp_path / "manifest.json", "package"),
        # What was sent, and is damaged, can be sent again.
        (images.received() / "1/manifest.json", perform.NO_IMAGE),
    ):
        setting = SimpleNamespace(image=an_image(tmp_path, manifest))
        monkeypatch.setattr(perform, "_setting", lambda _, it=setting: it)
        outcome = from_text(perform.perform(json.dumps(body)))
        assert (outcome.by_host, outcome.reason) == (True, reason)
        assert "kernel package" in outcome.refused


def test_another_qemu_is_the_workers_refusal_and_both_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "qemu"

    def setting_of(*_: Any) -> Any:
        qemu = SimpleNamespace(version=program.read_text())
        return SimpleNamespace(image=an_image(tmp_path), qemu=qemu)

    def install(version: str) -> None:
        program.write_text(version)
        program.chmod(0o755)

    monkeypatch.setenv("FREEONCE_QEMU", str(program))
    monkeypatch.setattr(images, "find", lambda _: tmp_path / "manifest.json")
    monkeypatch.setattr(perform, "setting_of", setting_of)
    body = {"accel": "tcg", "kind": "audit", "image": "1", "harness": harness(), "qemu": "7.2.22"}
    install("7.2.22")
    assert perform._setting(body).qemu.version == "7.2.22"
    install("10.0.2")
    outcome = from_text(perform.perform(json.dumps(body)))
    assert (outcome.by_host, outcome.reason) == (True, "qemu")
    assert "this worker's is 10.0.2, the campaign's 7.2.22" in outcome.refused


NOTHING: dict[str, object] = {"digests": {}, "subjects": {}}
"""What an audit has of files."""


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ({"CC": "gcc 14", "LD": "ld 2"}, "this worker's CC is 'gcc 14', the campaign's 'gcc 12'"),
        (HostError("no-tool", "gcc is not installed"), "cannot build: gcc is not installed"),
    ],
)
def test_another_compiler_is_the_workers_refusal_of_this_task(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, versions: Any, said: str
) -> None:
    def found(*_: object) -> Any:
        if isinstance(versions, HostError):
            raise versions
        return versions

    image = an_image(tmp_path)
    monkeypatch.setattr(perform, "_setting", lambda *_: SimpleNamespace(image=image))
    monkeypatch.setattr(perform, "built_by", found)
    body = {"accel": "tcg", "kind": "audit", "image": "1", "harness": harness(), **NOTHING}
    body |= {"package": kernel_digest(image), "tools": {"CC": "gcc 12", "LD": "ld 2"}}
    outcome = from_text(perform.perform(json.dumps(body)))
    assert (outcome.by_host, outcome.reason) == (True, OF_THE_TASK)
    assert said in outcome.refused


def performed(
    monkeypatch: pytest.MonkeyPatch, folder: Path, subject: str, work: Callable[..., Outcome]
) -> Outcome:
    """An audit of a module's file in a folder, by a worker that stands elsewhere."""
    setting = SimpleNamespace(document=dict, image=an_image(folder))
    monkeypatch.setattr(perform, "_setting", lambda *_: setting)
    monkeypatch.setitem(perform.PERFORMERS, "audit", work)
    monkeypatch.chdir("/")
    body = {"accel": "tcg", "kind": "audit", "image": "1", "harness": harness(), **NOTHING}
    body |= {"package": kernel_digest(setting.image), "folder": str(folder / "there")}
    if subject:
        there = folder / "there" / subject
        body |= {"subjects": {subject: subject_digest(there) if there.exists() else "of before"}}
    return from_text(perform.perform(json.dumps(body)))


CLEAN = Outcome("clean", True, 0.0, "", {"loss": None})


def test_paths_are_those_of_where_the_campaign_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/a.ko").write_text("one")

    def work(*_: Any) -> Outcome:
        assert Path("a.ko").read_text() == "one"
        return CLEAN

    assert performed(monkeypatch, tmp_path, "./a.ko", work).verdict == "clean"
    shutil.move(tmp_path / "there", tmp_path / "another")
    # A name needs no folder.
    assert performed(monkeypatch, tmp_path, "", lambda *_: CLEAN).verdict == "clean"
    refused = performed(monkeypatch, tmp_path, "./a.ko", work)
    assert refused.reason == OF_THE_TASK
    assert f"no {tmp_path}/there, where './a.ko' is" in refused.refused


def test_what_was_changed_while_it_ran_is_no_result(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/a.ko").write_text("one")

    def work(*_: Any) -> Outcome:
        Path("a.ko").write_text("another")
        return CLEAN

    outcome = performed(monkeypatch, tmp_path, "a.ko", work)
    assert (outcome.verdict, outcome.reason) == ("", OF_THE_TASK)


def test_a_file_of_a_task_that_is_another_puts_no_worker_out() -> None:
    """However often: the next task has other files."""
    trust = Trust()
    assert not any(trust.refused("w", OF_THE_TASK) for _ in range(3 * TIMES))


@pytest.mark.parametrize("kind", ["scenario", "census"])
def test_a_template_that_does_not_boot_is_the_workers_refusal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    setting = SimpleNamespace(image=an_image(tmp_path), config=lambda: SimpleNamespace(cpus=1))
    setting.needing = lambda _: setting

    def lost(*_: Any) -> Any:
        raise GuestLost("QEMU was killed")

    monkeypatch.setattr(perform, "_setting", lambda *_: setting)
    monkeypatch.setattr(hire, "template_of", lost)
    monkeypatch.setattr(perform, "ready", lost)
    body = {"accel": "tcg", "kind": kind, "image": "1", "harness": harness(), "timeout": None}
    body |= {"package": kernel_digest(setting.image)}
    outcome = from_text(perform.perform(json.dumps(body)))
    assert (outcome.by_host, outcome.reason) == (True, "no-guest")
    assert "QEMU was killed" in outcome.refused
    assert outcome.verdict == ""


POINT = {"number": 1, "after": False, "outcome": "unknown", "as_expected": False}


@pytest.mark.parametrize(
    ("document", "by_host"),
    [
        ({"loss": "qemu", "reasons": []}, True),
        ({"loss": "ssh", "reasons": []}, True),
        ({"loss": "oops", "reasons": []}, False),
        ({"loss": None, "reasons": []}, False),
        ({"loss": None, "failures": {"points": [POINT | {"loss": "qemu", "reasons": []}]}}, True),
        (
            {
                "loss": None,
                "failures": {
                    "points": [
                        POINT | {"loss": None, "reasons": ["no new guest could be started: disk"]}
                    ]
                },
            },
            True,
        ),
    ],
)
def test_a_guest_that_its_host_lost_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, document: dict[str, object], by_host: bool
) -> None:
    setting = SimpleNamespace(document=dict, image=an_image(Path("none")))
    monkeypatch.setattr(perform, "_setting", lambda *_: setting)
    came = Outcome("incomplete", False, 0.0, "", document)
    monkeypatch.setitem(perform.PERFORMERS, "audit", lambda *_: came)
    body = {"accel": "tcg", "kind": "audit", "image": "1", "harness": harness()}
    body |= {"package": kernel_digest(setting.image)}
    outcome = from_text(perform.perform(json.dumps(body)))
    assert (outcome.verdict, outcome.refused) == ("incomplete", "")
    assert outcome.by_host is by_host
