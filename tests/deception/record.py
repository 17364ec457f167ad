"""Run the planted faults in guests and save what they told: `python -m tests.deception.record`.

To be done again when the ledger's format changes. It takes as long as `freeonce run 'fault/*'`.
"""

from collections.abc import Iterator

from freeonce.audit.result import Evidence, Result
from freeonce.project.setting import find_setting
from freeonce.run.campaign import run_all
from freeonce.run.hire import crew_of
from tests.deception.saved import FILE, save


def _chosen(results: list[Result]) -> Iterator[tuple[str, str, int, Evidence]]:
    for result in results:
        assert result.as_expected, f"{result.scenario.name}: {result.judgement}"
        scenario = result.scenario
        (rule,) = {expected.rule for expected in scenario.expected}
        yield scenario.name, rule, scenario.cpus, result.evidence


def main() -> None:
    """Record all of them."""
    setting = find_setting("tcg")
    with crew_of(setting) as crew:
        results = list(run_all(crew, ["fault/*"]))
    save(_chosen(results))
    print(f"{len(results)} runs in {FILE}, {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
