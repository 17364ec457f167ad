"""Which tasks are the same, whatever image and harness they were run with. Pure."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

WITH = (
    *("image", "package", "harness", "qemu"),
    *("subjects", "digests", "libraries", "modules", "tools", "folder"),
)
"""What a task was run with, and where it lay, which two results of it may have different. The
accelerator is not of these: what is found under one is not mended by what another does not show.
"""


def same_task(name: str, body: Mapping[str, object]) -> str:
    """The same for all repetitions of a task, whatever they were run with."""
    said = {key: value for key, value in body.items() if key not in (*WITH, "number")}
    return json.dumps([body.get("kind"), name, said], sort_keys=True)


def same_run(name: str, body: Mapping[str, object]) -> str:
    """The same for one repetition of a task, in short: a plan may have a million of them."""
    words = f"{body.get('number', 0)} {same_task(name, body)}"
    return hashlib.sha256(words.encode()).hexdigest()[:32]


def as_run(body: Mapping[str, object], document: Mapping[str, Any]) -> Mapping[str, object]:
    """A task with the accelerator that it was run under.

    Bodies of before have `auto` there, and which that was the result alone says. Where it does not,
    as those of `freeonce census`, it is taken for the one that every host has.
    """
    if body.get("accel") != "auto":
        return body
    return {**body, "accel": (document.get("host") or {}).get("accelerator") or "tcg"}
