"""A census of a few of Debian's modules: one that is clean, one that says no, one with a fault."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from freeonce.campaign.bases import base_of
from freeonce.campaign.census import lead
from freeonce.campaign.store import writing
from freeonce.campaign.task import census_tasks
from freeonce.guest import clone
from freeonce.report.census import Came, Module, module
from freeonce.run import together
from tests.guest.lives import Place

pytestmark = pytest.mark.xdist_group("census")


def led(place: Place, store: Path, *names: str, limit: int | None = None) -> dict[str, Module]:
    """What the store has of them, after those that it had not were led."""
    setting, source = place
    with writing(store) as opened:
        chosen = list(census_tasks(base_of(setting, "auto"), names, limit))
        there = opened.keys()
        for task, outcome in lead(setting, source, [one for one in chosen if one.key not in there]):
            opened.add(task, outcome)
        return {
            kept.name: module(kept.document, kept.document if limit else None)
            for kept in opened.results()
            if kept.key in {one.key for one in chosen}
        }


def test_each_module_comes_as_far_as_it_does_and_is_led_once(place: Place, tmp_path: Path) -> None:
    names = ("acpi_cpufreq", "dccp", "dummy")
    found = led(place, tmp_path / "store", *names)
    assert [found[name].came for name in names] == [Came.REFUSED, Came.FAULTY, Came.CLEAN]
    assert found["acpi_cpufreq"].error == "ENODEV"
    # docs/found/dccp.md
    (leak,) = found["dccp"].findings
    assert (leak["rule"], leak["family"], leak["function"]) == ("leak", "cache", "dccp_init")
    assert led(place, tmp_path / "store", *names) == found


def test_a_module_that_the_guest_needs_stays_there(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not load a second time; to unload it would cost the guest its network."""
    guests: list[object] = []

    @contextmanager
    def counted(*arguments: object) -> Iterator[object]:
        with clone(*arguments) as guest:  # type: ignore[arg-type]
            guests.append(guest)
            yield guest

    monkeypatch.setattr(together, "clone", counted)
    found = led(place, tmp_path / "store", "dummy", "virtio_net")
    assert found["dummy"].came is Came.CLEAN
    assert found["virtio_net"].came is Came.THERE
    # One for both; that a guest was lost would have cost some more.
    assert len(guests) == 1


def test_the_acquisitions_of_a_load_fail(place: Place, tmp_path: Path) -> None:
    found = led(place, tmp_path / "store", "dummy", limit=3)["dummy"]
    assert found.counted == found.acquired > 0
    assert found.points == {"handled": found.counted}
