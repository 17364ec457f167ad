"""Many scenarios, in order: the chosen ones, then the planted faults beside them."""

import time
from collections.abc import Callable, Iterator, Sequence

from freeonce.audit.result import Result
from freeonce.errors import GuestLost
from freeonce.evidence.scenarios import Scenario
from freeonce.guest import Guest
from freeonce.run.choose import planted_beside, select
from freeonce.run.conclude import conclude, doubted
from freeonce.run.hear import hear, lost_words
from freeonce.run.sharing import leaves_nothing, left_behind, spotless
from freeonce.run.task import PLAIN, Crew, Options, Scenarios, Starting, Task


def run_one(guest: Guest, scenario: Scenario, options: Options = PLAIN) -> tuple[Result, bool]:
    """Run one scenario. Its result, and whether the guest is fit for another."""
    start = time.monotonic()
    evidence, fit = hear(guest, scenario, options)
    seconds = time.monotonic() - start
    result = conclude(scenario, evidence, seconds, guest.config.features)
    if not fit:
        return result, False
    # Of everyone, or the next in this guest would be told what this one left. Also alone in a
    # guest: where a scenario runs makes no difference.
    lost = False
    try:
        left = left_behind(guest, result)
    except GuestLost as error:
        left, lost = lost_words(error), True
    if left and leaves_nothing(Task(scenario, options)) and spotless(result):
        return doubted(result, f"it declares that it leaves nothing behind, but {left}"), False
    return result, not lost


def run_all(
    crew: Crew,
    patterns: Sequence[str],
    options: Options = PLAIN,
    *,
    known: Callable[[Scenarios], None] = lambda _: None,
    chosen: Callable[[Scenarios, Scenarios], None] = lambda _, __: None,
    starting: Starting = lambda _: None,
) -> Iterator[Result]:
    """The results one by one, in the guest's order, whoever runs them.

    When some are named the planted faults run after them, unless `options.faults` is
    off. `known` is told all that the guest has, `chosen` which scenarios will run and which
    planted faults beside them, `starting` which one does now.

    Raises UsageError for a pattern that matches none, GuestLost or HostError when not even the
    first guest can be had.
    """
    everything = crew.scenarios()
    known(everything)
    scenarios = select(everything, patterns, options.faults, options.sections, options.again)
    named = bool(patterns or options.sections or options.again)
    beside = planted_beside(everything, scenarios, options.faults) if named else ()
    chosen(scenarios, beside)
    tasks = [Task(scenario, options) for scenario in scenarios for _ in range(options.repeat)]
    tasks += [Task(scenario, options) for scenario in beside]
    yield from crew.run(tasks, starting)
