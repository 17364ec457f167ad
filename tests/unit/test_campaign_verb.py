"""`freeonce campaign` over workers that only answer: what is kept, and the exit status."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from freeonce.campaign.outcome import Outcome, lacking
from freeonce.campaign.store import reading
from freeonce.campaign.task import Running, Task
from freeonce.cli import campaign as verb
from freeonce.errors import UsageError

CLEAN = Outcome("clean", True, 1.0, "here:1")


def task(key: str) -> Task:
    return Task(key, "a", {"kind": "scenario", "number": 0, "name": "a", "accel": "tcg"})


class Campaign:
    """The verb in a folder. `task`: of its plan; `answer`: what comes of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.task = task("one")
        self.answer = CLEAN
        self.store = folder / "plan.results"
        self._plan = folder / "plan.toml"
        self._plan.write_text('[[scenarios]]\nnames = ["a"]\n')
        monkeypatch.setattr(verb, "bases", lambda *_, **__: None)
        monkeypatch.setattr(verb, "unfold", lambda *_: iter([self.task]))
        monkeypatch.setattr(verb, "local", self._local)

    @contextmanager
    def _local(self, _: int) -> Iterator[Running]:
        def running(
            tasks: Iterable[Task], _: Callable[[str], None]
        ) -> Iterator[tuple[Task, Outcome]]:
            yield from ((one, self.answer) for one in tasks)

        yield running

    def __call__(self, *words: str) -> int:
        done = CliRunner().invoke(verb.campaign, [str(self._plan), *words])
        # What the program's own main makes of it.
        return 2 if isinstance(done.exception, UsageError) else done.exit_code

    def kept(self) -> list[tuple[str, str]]:
        with reading(self.store) as store:
            return [(one.key, one.verdict) for one in store.results(current=True)]


@pytest.fixture
def campaign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Campaign:
    return Campaign(monkeypatch, tmp_path)


def test_what_is_there_is_not_run_again_unless_it_is_named(campaign: Campaign) -> None:
    assert campaign() == 0
    campaign.answer = Outcome("faulty", False, 1.0, "here:1")
    assert (campaign(), campaign.kept()) == (0, [("one", "clean")])
    assert (campaign("--again", "on"), campaign.kept()) == (1, [("one", "faulty")])


def test_what_could_not_be_run_again_is_told_by_the_status(campaign: Campaign) -> None:
    campaign()
    campaign.answer = lacking("here:1", "no-qemu", "it is gone")
    # What there was is kept, and is not the answer.
    assert (campaign("--again", "one"), campaign.kept()) == (3, [("one", "clean")])


def test_a_key_that_there_is_not_changes_nothing(campaign: Campaign) -> None:
    campaign()
    campaign.task = task("two")
    assert (campaign("--again", "on"), campaign.kept()) == (2, [("one", "clean")])


def test_a_plan_that_is_refused_leaves_no_store(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> Iterator[Task]:
        raise UsageError("no scenario matches")

    monkeypatch.setattr(verb, "unfold", refused)
    assert campaign() == 2
    assert not campaign.store.exists()
