"""A worker's answer, maybe another host's: taken only as what all readers of a store bear. Pure.

Before anything is kept: a store that holds what its readers do not expect is of no use to anybody.
"""

import json
import math
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from freeonce.audit.model import Rule, Verdict
from freeonce.audit.points import Outcome as Failed
from freeonce.errors import EvidenceError
from freeonce.evidence.text import printable

MOST_SECONDS = 1e9
MOST_CHARACTERS = 1 << 30
"""Of an answer: a life of 10^6 lifetimes is told in less."""
WHOLE = ("scenario", "audit")
"""Kinds of tasks of which nothing is expected but a verdict."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Finding(_Part):
    rule: Rule
    message: str


class _Named(_Part):
    rule: str


class _Point(_Part):
    number: int
    after: bool
    outcome: Failed
    as_expected: bool
    findings: list[_Finding] = []
    named: list[_Named] | None = None


class _Failures(_Part):
    points: list[_Point] = []
    unled: str | None = None


class _Reason(_Part):
    message: str


class _Document(_Part):
    findings: list[_Finding] = []
    reasons: list[str | _Reason] | None = None
    doubts: list[str] | None = None
    expected: list[dict[str, Any]] = []
    failures: _Failures | None = None
    host: dict[str, Any] | None = None


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    verdict: Verdict | Annotated[str, Field(max_length=0)]
    as_expected: bool
    seconds: Annotated[float, Field(ge=0, le=MOST_SECONDS)]
    worker: str
    document: _Document
    refused: str
    by_host: bool
    reason: str


def parsed(text: str, kind: object = None) -> dict[str, Any]:
    """Of what `outcome.to_text` gives. What no terminal or XML can show is in it as an escape.

    `kind`: of the task: in a census that a module does not load is as expected.
    Raises EvidenceError: a worker of another version, or no worker of ours.
    """
    if len(text) > MOST_CHARACTERS:
        raise EvidenceError(f"a worker's answer has {len(text)} characters")
    try:
        found = _shown(json.loads(text, parse_constant=_no_number))
        # In Python's own types: an enumeration's word is a text in JSON.
        _Answer.model_validate_json(json.dumps(found))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise EvidenceError(f"a worker's answer has a wrong {where}: {first['msg']}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise EvidenceError(f"a worker's answer cannot be read: {error}") from error
    answer: dict[str, Any] = found
    if kind in WHOLE and answer["verdict"] == Verdict.INCOMPLETE and answer["as_expected"]:
        raise EvidenceError("a worker's answer is incomplete, and as expected")
    if not answer["verdict"] and not answer["refused"]:
        raise EvidenceError("a worker's answer has no verdict, and refuses nothing")
    return answer


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _shown(value: object) -> Any:
    match value:
        case str():
            return printable(value, "\n")
        case list():
            return [_shown(one) for one in value]
        case dict():
            return {printable(name, ""): _shown(one) for name, one in value.items()}
        case float() if not math.isfinite(value):
            raise ValueError("a number is too large")
        case _:
            return value
