"""What the evidence says and what was judged is a value: nobody who reads it can change it."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

from freeonce import audit, evidence

GROWING = {"audit.kernel.Block", "audit.kernel.Walk", "audit.operands._Given"}
GROWING |= {"audit.tlb.Entry", "audit.tlb.Epoch"}
"""What a judge builds up while it reads the records. No report is given any of it."""


def _values() -> Iterator[str]:
    for package in (audit, evidence):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for name, one in vars(importlib.import_module(module.name)).items():
                # Who has fields of its own, whatever was made of it.
                if inspect.isclass(one) and one.__module__ == module.name and _fields(one):
                    yield f"{module.name.removeprefix('freeonce.')}.{name}"


def _fields(one: type) -> list[str]:
    return list(inspect.get_annotations(one))


def test_a_value_of_the_audit_or_the_evidence_cannot_be_changed() -> None:
    changed = set()
    for name in set(_values()):
        module, _, short = name.rpartition(".")
        one = getattr(importlib.import_module(f"freeonce.{module}"), short)
        value = object.__new__(one) if not issubclass(one, tuple) else one(*[0] * len(_fields(one)))
        try:
            setattr(value, _fields(one)[0], None)
        except AttributeError:
            continue
        changed.add(name)
    assert changed == GROWING
