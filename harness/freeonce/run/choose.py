"""Which scenarios run: by name or pattern, and the planted faults beside them. Pure."""

import difflib
import fnmatch
from collections.abc import Sequence

from freeonce.errors import UsageError
from freeonce.evidence.scenarios import Scenario


def hint(name: str, names: Sequence[str]) -> str:
    """What somebody may have meant who named no scenario."""
    near = difflib.get_close_matches(name, names, n=3)
    return f"did you mean {', '.join(near)}?" if near else "'freeonce list' shows them all"


def select(
    scenarios: Sequence[Scenario],
    patterns: Sequence[str],
    faults: bool = True,
    sections: Sequence[str] = (),
    again: Sequence[str] = (),
) -> tuple[Scenario, ...]:
    """The scenarios that match any pattern (fnmatch), in the guest's order.

    `sections`: patterns of their sections, in letters of either case. `again`: whole names.
    Without any of these all but those that lose the guest, and the planted faults only with
    `faults`. What is named runs whatever it is.

    Raises UsageError for a pattern that matches none, and when no name of `again` is left.
    """
    names = [scenario.name for scenario in scenarios]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise UsageError(f"no scenario matches {pattern!r}; {hint(pattern, names)}")
    headings = list(dict.fromkeys(scenario.section for scenario in scenarios))
    for pattern in sections:
        if not any(_of_section(heading, pattern) for heading in headings):
            raise UsageError(f"no section matches {pattern!r}; there are: {'; '.join(headings)}")
    if again and not set(again) & set(names):
        raise UsageError(
            "these scenarios, left open by the last run, no longer exist: " + ", ".join(again)
        )
    if not (patterns or sections or again):
        return tuple(
            scenario
            for scenario in scenarios
            if scenario.ends is None and (faults or not scenario.is_planted)
        )
    return tuple(
        scenario
        for scenario in scenarios
        if any(fnmatch.fnmatch(scenario.name, pattern) for pattern in patterns)
        or any(_of_section(scenario.section, pattern) for pattern in sections)
        or scenario.name in again
    )


def _of_section(heading: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(heading.lower(), pattern.lower())


def planted_beside(
    scenarios: Sequence[Scenario], chosen: Sequence[Scenario], faults: bool = True
) -> tuple[Scenario, ...]:
    """The planted faults that run beside what was chosen: a detector can rot unnoticed.

    None without `faults`.
    """
    if not faults:
        return ()
    names = {scenario.name for scenario in chosen}
    return tuple(one for one in scenarios if one.is_planted and one.name not in names)
