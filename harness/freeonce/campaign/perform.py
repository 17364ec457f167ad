"""One task on a worker: text in, text out, so that nothing but text travels between hosts."""

import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from freeonce.audit.attempts import Each, each_of
from freeonce.audit.result import NOTHING, Evidence, Result
from freeonce.campaign.identity import file_digest, harness
from freeonce.campaign.outcome import Outcome, lacking, to_text
from freeonce.errors import FreeonceError, GuestLost, HostError
from freeonce.evidence.scenarios import parse_scenarios
from freeonce.guest import clone, template_of
from freeonce.project.setting import Setting, find_setting
from freeonce.report.document import result_document
from freeonce.report.life import life_document, places_of, tell
from freeonce.report.places import Everywhere
from freeonce.run.audit import audited
from freeonce.run.campaign import run_one
from freeonce.run.conclude import conclude
from freeonce.run.life import DEFAULT_LIMITS
from freeonce.run.prepare import Wish
from freeonce.run.task import PLAIN
from freeonce.subject.symbols import places

Body = dict[str, Any]


def perform(text: str) -> str:
    """A task's body as JSON to its outcome as JSON. What it raises is a fault of freeonce."""
    body: Body = json.loads(text)
    start = time.monotonic()
    worker = f"{socket.gethostname()}:{os.getpid()}"
    try:
        setting = _setting(str(body["accel"]), body["kind"] == "scenario")
        _check(body, setting)
        verdict, as_expected, document = PERFORMERS[body["kind"]](body, setting)
    except HostError as error:
        return to_text(lacking(worker, error.reason, str(error)))
    except OSError as error:
        # A full disk, no more processes: of this machine, not of the task.
        return to_text(lacking(worker, "system", str(error)))
    except FreeonceError as error:
        return to_text(Outcome("", False, 0.0, worker, refused=str(error)))
    document["host"] = setting.document()
    return to_text(Outcome(verdict, as_expected, time.monotonic() - start, worker, document))


@cache
def _setting(accel: str, svm: bool) -> Setting:
    """Read once in each process: its files are hashed."""
    return find_setting(accel, svm=svm)


def _check(body: Body, setting: Setting) -> None:
    """What the campaign meant is what this worker has. Raises HostError that names both."""
    ours = {"harness": harness(), "image": file_digest(setting.image.manifest)}
    for name, mine in ours.items():
        if body[name] != mine:
            raise HostError(
                "differs", f"this worker's {name} is {mine}, the campaign's {body[name]}"
            )
    for path, digest in body.get("digests", {}).items():
        if file_digest(Path(path)) != digest:
            raise HostError("differs", f"this worker's {path} is not the campaign's")


Performed = tuple[str, bool, dict[str, object]]


def _scenario(body: Body, setting: Setting) -> Performed:
    options = replace(PLAIN, seconds=body["timeout"] or PLAIN.seconds)
    with template_of(setting) as source:
        known = {one.name: one for one in parse_scenarios(source.table)}
        scenario = known[body["name"]]
        try:
            with clone(source, setting.image) as guest:
                result, _ = run_one(guest, scenario, options)
        except GuestLost as lost:
            evidence = Evidence(NOTHING, doubts=(f"no guest could be had: {lost}",))
            result = conclude(scenario, evidence, 0.0)
    document = result_document(result, _places(setting, result))
    return str(result.judgement.verdict), result.as_expected, document


def _places(setting: Setting, result: Result) -> Everywhere:
    told = result.evidence.told
    (found,) = places(setting.image.specimens, [told])
    return Everywhere([(told, found)])


def _audit(body: Body, setting: Setting) -> Performed:
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
    told = tell(done.life, done.traces, points=done.points)
    result = told.life.result
    document = life_document(told, places_of(done.traces))
    return str(result.judgement.verdict), told.bears_failures, document


def _each(body: Body) -> Each | None:
    each = body.get("fail_each")
    return None if each is None else replace(each_of(each), limit=body["fail_limit"])


PERFORMERS: dict[str, Callable[[Body, Setting], Performed]] = {
    "scenario": _scenario,
    "audit": _audit,
}
