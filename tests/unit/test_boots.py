"""A boot that froze is begun anew once, and that is told."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from freeonce.deadline import Deadline
from freeonce.errors import DeadlineExceeded, GuestLost
from freeonce.guest import making
from freeonce.guest.guest import Guest
from freeonce.guest.making import BEGUN_ANEW, ClockMisjudged, Frozen, boot_up, booted, may_freeze
from freeonce.machine.argv import MachineConfig, Ram
from freeonce.machine.console import MISJUDGED, READY
from freeonce.project.image import Image

CONFIG = MachineConfig("qemu", "tcg", Path("boot"), Path("initramfs"), "max", cpus=2)
NO_IMAGE = cast(Image, None)


class Boots:
    """Each boot ends as `outcomes` has it in turn: an error, or a guest. `open`: QEMUs that run."""

    def __init__(self, *outcomes: GuestLost | str) -> None:
        self.outcomes = list(outcomes)
        self.open: list[str] = []
        self.rams: list[Ram | None] = []
        self.left: list[float] = []

    def __call__(
        self,
        config: MachineConfig,
        image: Image,
        stack: ExitStack,
        deadline: Deadline,
        ram: Ram | None = None,
    ) -> Guest:
        outcome = self.outcomes.pop(0)
        self.rams.append(ram)
        self.left.append(deadline.left())
        for file in ram.files if ram is not None else ():
            assert not Path(file).exists()
            Path(file).write_text(str(outcome))
        stack.enter_context(self._running(str(outcome)))
        if isinstance(outcome, GuestLost):
            raise outcome
        return cast(Guest, outcome)

    @contextmanager
    def _running(self, name: str) -> Iterator[None]:
        assert not self.open
        self.open.append(name)
        try:
            yield
        finally:
            self.open.remove(name)


def boot(
    boots: Boots, monkeypatch: pytest.MonkeyPatch, stack: ExitStack, ram: Ram | None = None
) -> Guest:
    monkeypatch.setattr(making, "boot_up", boots)
    guest, deadline = booted(CONFIG, NO_IMAGE, stack, Deadline(60, "booting"), ram)
    assert deadline.left() > 50
    return guest


def test_a_boot_that_froze_is_begun_anew_and_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    boots = Boots(Frozen("booting took more than 60 s; CPU 0 is at f00"), "second")
    ram = Ram((str(tmp_path / "ram0"),), clone=False)
    with ExitStack() as stack, caplog.at_level(logging.WARNING, BEGUN_ANEW.name):
        assert cast(str, boot(boots, monkeypatch, stack, ram)) == "second"
        assert boots.open == ["second"]
        # All of its time, not what the first left of it.
        assert boots.left[1] > 50
    assert boots.open == []
    assert "CPU 0 is at f00, as QEMU before 8.1 freezes" in caplog.text
    assert "the boot is begun anew" in caplog.text


def test_a_boot_that_misjudged_its_clock_is_begun_anew_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    boots = Boots(ClockMisjudged("its clock"), "second")
    with ExitStack() as stack, caplog.at_level(logging.WARNING, BEGUN_ANEW.name):
        assert cast(str, boot(boots, monkeypatch, stack)) == "second"
    assert "its clock, as it may on a busy host; the boot is begun anew" in caplog.text


@pytest.mark.parametrize("words", [MISJUDGED, "freeonce: all is well"])
def test_a_guest_that_says_so_is_one_with_a_wrong_clock(
    words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = SimpleNamespace(wait_for=lambda *_: None, tail=lambda: f"{words}\n{READY}")
    monitor = SimpleNamespace(execute=lambda _: None)
    guest = cast(Guest, SimpleNamespace(console=console, monitor=monitor, check=None))
    monkeypatch.setattr(making, "start", lambda *_: guest)
    image = cast(Image, SimpleNamespace(check_kernel=lambda: None))
    wrong = pytest.raises(ClockMisjudged) if words == MISJUDGED else nullcontext()
    with ExitStack() as stack, wrong:
        assert boot_up(CONFIG, image, stack, Deadline(60, "booting")) is guest


def test_harness_and_init_agree_on_the_words() -> None:
    script = (Path(__file__).parents[2] / "guest/init/etc/rc").read_text()
    assert f"echo '{READY}' >/dev/console" in script
    assert f"echo '{MISJUDGED}' >/dev/console" in script.split(READY)[0]


def test_it_is_begun_anew_once(monkeypatch: pytest.MonkeyPatch) -> None:
    boots = Boots(Frozen("first"), Frozen("second"), "never")
    with pytest.raises(DeadlineExceeded, match="second"), ExitStack() as stack:
        boot(boots, monkeypatch, stack)
    assert (boots.outcomes, boots.open) == (["never"], [])


@pytest.mark.parametrize("lost", [GuestLost("gone"), DeadlineExceeded("late")], ids=str)
def test_what_is_not_known_to_freeze_is_not_tried_again(
    lost: GuestLost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    boots = Boots(lost, "never")
    with pytest.raises(GuestLost, match=str(lost)), ExitStack() as stack:
        boot(boots, monkeypatch, stack)
    assert (boots.outcomes, caplog.text) == (["never"], "")


def test_a_guest_that_boots_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    boots = Boots("first", "never")
    with ExitStack() as stack:
        boot(boots, monkeypatch, stack)
        assert boots.open == ["first"]
    assert (boots.open, caplog.text) == ([], "")


@pytest.mark.parametrize(
    ("accelerator", "cpus", "version", "may"),
    [
        ("tcg", 2, (7, 2), True),
        ("tcg,thread=multi", 4, (8, 0), True),
        ("tcg,thread=single", 2, (7, 2), False),
        ("tcg", 1, (7, 2), False),
        ("tcg", 2, (8, 1), False),
        ("tcg", 2, (10, 0), False),
        ("kvm", 2, (7, 2), False),
    ],
)
def test_what_may_freeze(accelerator: str, cpus: int, version: tuple[int, int], may: bool) -> None:
    assert may_freeze(replace(CONFIG, accelerator=accelerator, cpus=cpus), version) is may
