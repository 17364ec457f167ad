"""One task on a worker: text in, text out, so that nothing but text travels between hosts."""

import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from freeonce.audit.attempts import Each, each_of
from freeonce.audit.life import Stage
from freeonce.audit.points import Point, passed
from freeonce.audit.result import Result
from freeonce.campaign import census, images
from freeonce.campaign.identity import (
    built_by,
    file_digest,
    harness,
    kernel_digest,
    library_digests,
    subject_digest,
)
from freeonce.campaign.outcome import Outcome, lacking, to_text
from freeonce.campaign.task import CENSUS, CENSUS_FAILURES, Task
from freeonce.campaign.trust import OF_THE_TASK, PACKAGE, QEMU
from freeonce.errors import FreeonceError, GuestLost, HostError, UsageError
from freeonce.evidence.scenarios import Scenario, parse_scenarios
from freeonce.guest import clone
from freeonce.project.host import QEMU_DEFAULT, QEMU_VARIABLE
from freeonce.project.setting import Setting, setting_of
from freeonce.report.document import result_document
from freeonce.report.failures import points_document
from freeonce.report.life import life_document, places_of, tell
from freeonce.report.places import Everywhere
from freeonce.run.audit import audited, ready
from freeonce.run.campaign import run_one
from freeonce.run.crew import Pristine
from freeonce.run.failures import EACH, run_each
from freeonce.run.hire import Templates
from freeonce.run.life import DEFAULT_LIMITS
from freeonce.run.prepare import Wish
from freeonce.run.task import PLAIN, Options
from freeonce.subject.module import canonical
from freeonce.subject.package import Package
from freeonce.subject.symbols import places

Body = dict[str, Any]
NO_IMAGE = "no-image"
"""The reason of a worker that may be sent one."""


def perform(text: str) -> str:
    """A task's body as JSON to its outcome as JSON. What it raises is a fault of freeonce."""
    body: Body = json.loads(text)
    start = time.monotonic()
    worker = f"{socket.gethostname()}:{os.getpid()}"
    try:
        _same_harness(body)
        setting = _setting(body)
        _stand(body)
        _same_files(body, setting)
        outcome = PERFORMERS[body["kind"]](body, setting)
        # Of what it was a result is not known when something was changed meanwhile.
        _same_files(body, _setting(body))
    except HostError as error:
        return to_text(lacking(worker, error.reason, str(error)))
    except OSError as error:
        # A full disk, no more processes: of this machine, not of the task.
        return to_text(lacking(worker, "system", str(error)))
    except GuestLost as error:
        # What is lost while a task is led is its result; this was none yet.
        return to_text(lacking(worker, "no-guest", f"no guest could be started: {error}"))
    except FreeonceError as error:
        return to_text(Outcome("", False, 0.0, worker, refused=str(error)))
    document = outcome.document | {"host": setting.document()}
    seconds = time.monotonic() - start
    lost = census.by_host(document)
    return to_text(
        replace(outcome, seconds=seconds, worker=worker, document=document, by_host=lost)
    )


def _same_harness(body: Body) -> None:
    """Raises HostError `harness` that names both."""
    if body["harness"] != harness():
        message = f"this worker's is {harness()}, the campaign's {body['harness']}"
        raise HostError("harness", message)


def _setting(body: Body) -> Setting:
    """Raises HostError `no-image`, and `qemu` that names both."""
    manifest = images.find(body["image"])
    if manifest is None:
        message = (
            f"this worker does not have the image {body['image']}, with which the campaign began"
        )
        raise HostError(NO_IMAGE, message)
    state = images.state(manifest), _program()
    setting = _read(manifest, state, body["accel"], body["kind"] == "scenario")
    if setting.qemu.version != body["qemu"]:
        message = f"this worker's is {setting.qemu.version}, the campaign's {body['qemu']}"
        raise HostError(QEMU, message)
    return setting


def _program() -> object:
    """Another when QEMU was made anew: it may have another version, which takes a while to ask."""
    path = shutil.which(os.environ.get(QEMU_VARIABLE) or QEMU_DEFAULT)
    it = os.stat(path) if path else None
    return it and (path, it.st_ino, it.st_size, it.st_mtime_ns)


@lru_cache(maxsize=8)
def _read(manifest: Path, _state: object, accel: str, svm: bool) -> Setting:
    """Read once in each process, as long as it is as it was: its files are hashed."""
    return setting_of(manifest, accel, svm)


def _stand(body: Body) -> None:
    """Where the campaign stood: paths are as it has them. Raises HostError."""
    folder = body.get("folder")
    if folder is None:
        return
    paths = (*body["digests"], *body["subjects"])
    relative = [one for one in paths if not os.path.isabs(one)]
    try:
        os.chdir(folder)
    except OSError as error:
        if relative:
            message = f"this worker has no {folder}, where {relative[0]!r} is: {error.strerror}"
            raise HostError(OF_THE_TASK, message) from error


def _same_files(body: Body, setting: Setting) -> None:
    """What the campaign meant is what this worker has. Raises HostError that names it."""
    try:
        if kernel_digest(setting.image) != body["package"]:
            # What was sent is sent again; of another nobody knows whose fault it is.
            sent = setting.image.manifest.is_relative_to(images.received())
            reason = NO_IMAGE if sent else PACKAGE
            raise HostError(reason, "this worker's kernel package is not the campaign's")
        for name, wanted, found in _files(body, setting):
            if found != wanted:
                raise HostError(OF_THE_TASK, f"this worker's {name} is not the campaign's")
        _same_tools(body, setting)
    except UsageError as error:
        message = f"this worker lacks what the campaign has: {error}"
        raise HostError(OF_THE_TASK, message) from error


def _files(body: Body, setting: Setting) -> Iterator[tuple[str, str | None, str | None]]:
    """What a task names: its name, and the digest that the campaign has and that of here."""
    for path, digest in body.get("digests", {}).items():
        yield path, digest, file_digest(Path(path))
    for path, digest in body.get("subjects", {}).items():
        yield path, digest, subject_digest(Path(path))
    package = Package(setting.image.modules)
    for name, digest in body.get("modules", {}).items():
        file = package.files.get(canonical(name))
        yield name, digest, file_digest(file) if file else None
    if "libraries" in body:
        here = library_digests(body["exercises"], body["files"])
        for path in sorted({*here, *body["libraries"]}):
            yield path, body["libraries"].get(path), here.get(path)


def _same_tools(body: Body, setting: Setting) -> None:
    """What builds subjects. Raises HostError that names both."""
    if not (wanted := body.get("tools")):
        return
    try:
        found = built_by(list(body["subjects"]), setting.image)
    except HostError as error:
        raise HostError(OF_THE_TASK, f"this worker cannot build: {error}") from error
    for name, version in wanted.items():
        if found.get(name) != version:
            message = f"this worker's {name} is {found.get(name)!r}, the campaign's {version!r}"
            raise HostError(OF_THE_TASK, message)


def _scenario(body: Body, setting: Setting) -> Outcome:
    options = replace(PLAIN, seconds=body["timeout"] or PLAIN.seconds)
    with Templates(setting) as templates:
        known = parse_scenarios(templates.of(1).table)
        scenario = next(one for one in known if one.name == body["name"])
        source = templates.of(scenario.cpus)
        if "fail_each" in body:
            crew = Pristine(lambda _: clone(source, setting.image), lambda: known)
            with crew:
                return _failing(body, setting, crew, scenario, options)
        with clone(source, setting.image) as guest:
            result, _ = run_one(guest, scenario, options)
    document = result_document(result, _places(setting, result))
    return _outcome(result, result.as_expected, document)


def _failing(
    body: Body, setting: Setting, crew: Pristine, scenario: Scenario, options: Options
) -> Outcome:
    (points,) = run_each(crew, [scenario], options, replace(EACH, limit=body["fail_limit"]))
    found = _places(setting, points.plain)

    def named(point: Point) -> dict[str, object]:
        place = found.of(point.result).get(point.site)
        failed = place.frame.function if place else ""
        return {
            "named": [
                {"rule": one.rule, "family": one.kind, "function": one.what, "failed": failed}
                for one in point.result.judgement.findings
            ]
        }

    document = result_document(points.plain, found)
    document["failures"] = points_document(points, found, named)
    return _outcome(points.plain, passed([points]), document)


def _outcome(result: Result, as_expected: bool, document: dict[str, object]) -> Outcome:
    return Outcome(str(result.judgement.verdict), as_expected, 0.0, "", document)


def _places(setting: Setting, result: Result) -> Everywhere:
    told = result.evidence.told
    (found,) = places(setting.image.specimens, [told])
    return Everywhere([(told, found)])


def _audit(body: Body, setting: Setting) -> Outcome:
    wish = Wish(
        targets=tuple(body["targets"]),
        parameters=body["params"],
        dependencies=tuple(body["dependencies"]),
        exercises=tuple(map(Path, body["exercises"])),
        commands=tuple(body["commands"]),
        carried=tuple(body["files"]),
        limits=replace(DEFAULT_LIMITS, exercise=body["timeout"] or DEFAULT_LIMITS.exercise),
    )
    done = audited(wish, setting, _each(body))
    if done.life.stage is Stage.BOOT and done.life.reasons:
        raise HostError("no-guest", f"no guest could be started: {done.life.reasons[0].message}")
    told = tell(done.life, done.traces, points=done.points)
    document = life_document(told, places_of(done.traces))
    return _outcome(told.life.result, told.bears_failures, document)


def _each(body: Body) -> Each | None:
    each = body.get("fail_each")
    return None if each is None else replace(each_of(each), limit=body["fail_limit"])


def _census(body: Body, setting: Setting) -> Outcome:
    with ready(setting) as (roomy, source):
        ((_, outcome),) = census.lead(roomy, source, [Task("", body["name"], body)])
    if outcome.document["phase"] == Stage.BOOT and outcome.document["reasons"]:
        raise HostError("no-guest", str(outcome.document["reasons"]))
    return outcome


PERFORMERS: dict[str, Callable[[Body, Setting], Outcome]] = {
    "scenario": _scenario,
    "audit": _audit,
    CENSUS: _census,
    CENSUS_FAILURES: _census,
}
