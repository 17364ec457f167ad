"""QMP against a QEMU that is made up: what we ask of each version, and how its faults are told."""

import asyncio
import gc
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from qemu.qmp import QMPClient, Runstate

from freeonce.deadline import Deadline
from freeonce.errors import GuestLost
from freeonce.machine import monitor as module
from freeonce.machine.monitor import Monitor, monitor

Answer = Callable[[str], object]
"""To a command's name: what it returns, `None` for a QEMU that goes, an exception's words."""


class Silence:
    """No answer at all."""


class FakeQemu:
    """Speaks QMP as `answer` says; keeps the commands and what descriptors they came with."""

    def __init__(self, folder: Path, answer: Answer) -> None:
        self.asked: list[tuple[str, object]] = []
        self.files: list[str] = []
        self._answer = answer
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(folder / "qmp.sock"))
        self._door.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        line, _ = self._door.accept()
        with line:
            version = {"qemu": {"major": 0, "minor": 0, "micro": 0}, "package": ""}
            self._send(line, {"QMP": {"version": version, "capabilities": []}})
            text = ""
            while True:
                data, numbers, _, _ = socket.recv_fds(line, 4096, 4)
                if not data:
                    return
                for number in numbers:
                    self.files.append(os.readlink(f"/proc/self/fd/{number}"))
                    os.close(number)
                text += data.decode()
                try:
                    asked = json.loads(text)
                except ValueError:
                    continue
                text = ""
                if not self._reply(line, asked):
                    return

    def _reply(self, line: socket.socket, asked: dict[str, object]) -> bool:
        name = str(asked["execute"])
        if name == "qmp_capabilities":
            answer: object = {}
        else:
            self.asked.append((name, asked.get("arguments")))
            answer = self._answer(name)
        match answer:
            case None:
                return False
            case Silence():
                pass
            case str():
                error = {"class": "GenericError", "desc": answer}
                self._send(line, {"error": error, "id": asked.get("id")})
            case _:
                self._send(line, {"return": answer, "id": asked.get("id")})
        return True

    @staticmethod
    def _send(line: socket.socket, message: object) -> None:
        line.sendall(json.dumps(message).encode() + b"\n")


@contextmanager
def talking(
    folder: Path, answer: Answer, check: Callable[[], None] = lambda: None
) -> Iterator[tuple[Monitor, FakeQemu]]:
    qemu = FakeQemu(folder, answer)
    with monitor(folder, Deadline(10, "QMP"), check) as line:
        yield line, qemu


def of_version(major: int, minor: int) -> Answer:
    answers: dict[str, object] = {
        "query-version": {"qemu": {"major": major, "minor": minor, "micro": 0}, "package": ""},
        "query-status": {"status": "paused"},
        "query-migrate": {"status": "completed"},
    }
    return lambda name: answers.get(name, {})


NEW = ("add-fd", {"fdset-id": 1}), "file:/dev/fdset/1"
OLD = ("getfd", {"fdname": "state"}), "fd:state"


@pytest.mark.parametrize(
    ("version", "wanted"), [((7, 2), OLD), ((8, 1), OLD), ((8, 2), NEW), ((10, 0), NEW)]
)
@pytest.mark.parametrize("way", ["migrate", "migrate-incoming"])
def test_state_goes_through_a_descriptor_by_the_way_that_this_qemu_has(
    version: tuple[int, int],
    wanted: tuple[tuple[str, object], str],
    way: str,
    tmp_path: Path,
) -> None:
    """QEMU's docs/about/deprecated: `fd:` of a plain file since 9.1; `file:` came with 8.2."""
    state = tmp_path / "state"
    with state.open("wb") as file, talking(tmp_path, of_version(*version)) as (line, qemu):
        move = line.save if way == "migrate" else line.restore
        move(file.fileno(), Deadline(10, "moving"))
    command, uri = wanted
    assert qemu.files == [str(state)]
    asked = qemu.asked
    assert asked[asked.index(command) + 1] == (way, {"uri": uri})


def test_a_descriptor_comes_directly_before_the_command_that_takes_it(tmp_path: Path) -> None:
    """QEMU keeps the last one that came, whatever command it came with."""
    with (
        (tmp_path / "state").open("wb") as file,
        talking(tmp_path, of_version(10, 0)) as (
            line,
            qemu,
        ),
    ):
        line.restore(file.fileno(), Deadline(10, "moving"))
        names = [name for name, _ in qemu.asked]
    assert names.index("query-version") < names.index("add-fd")


def failing(tmp_path: Path, answer: object, check: Callable[[], None] = lambda: None) -> str:
    with (
        talking(tmp_path, lambda _: answer, check) as (line, _),
        pytest.raises(GuestLost) as lost,
    ):
        line.execute("query-status")
    return str(lost.value)


def test_a_qemu_that_stands_still_is_told_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FREEONCE_PATIENCE", raising=False)
    monkeypatch.setattr(module, "COMMAND_SECONDS", 0.2)
    said = failing(tmp_path, Silence())
    assert said == "QEMU did not answer 'query-status' within 0.2 s"


def test_a_qemu_that_refuses_is_told_with_its_words(tmp_path: Path) -> None:
    assert failing(tmp_path, "not now") == "QEMU refuses 'query-status': not now"


class Ended(SystemExit):
    """What a signal's handler raises."""


async def struck(*_: object) -> None:
    raise Ended


def test_a_signal_while_we_wait_for_an_answer_leaves_no_error_of_asyncio(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def end(*_: object) -> None:
        raise Ended

    def answer(name: str) -> object:
        os.kill(os.getpid(), signal.SIGUSR1)
        return Silence()

    before = signal.signal(signal.SIGUSR1, end)
    try:
        with pytest.raises(Ended), talking(tmp_path, answer) as (line, _):
            line.execute("query-status")
    finally:
        signal.signal(signal.SIGUSR1, before)
    gc.collect()
    assert not caplog.records


def test_a_signal_in_the_middle_of_our_own_part_leaves_no_error_of_asyncio(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QMPClient, "execute", struck)
    with pytest.raises(Ended), talking(tmp_path, of_version(10, 0)) as (line, _):
        line.execute("query-status")
    gc.collect()
    assert not caplog.records


def test_a_line_that_breaks_is_told_by_the_end_of_the_process(tmp_path: Path) -> None:
    looked: list[int] = []

    def check() -> None:
        looked.append(0)
        # The line breaks before the process is seen to have ended.
        if len(looked) > 3:
            raise GuestLost("QEMU was ended by signal SIGKILL")

    assert failing(tmp_path, None, check) == "QEMU was ended by signal SIGKILL"


def test_a_line_that_breaks_while_the_process_lives_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "END_SECONDS", 0.01)
    said = failing(tmp_path, None)
    assert said.startswith("QEMU closed its QMP line at 'query-status'")
    assert "disconnect()" not in said


def test_memory_for_which_the_folder_has_no_room_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 4096

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage)
    with talking(tmp_path, lambda _: "IO error") as (line, _), pytest.raises(GuestLost) as lost:
        line.read_memory(0, 8192)
    assert str(lost.value).startswith(f"no room for 8192 bytes of memory: {tmp_path} has 4096")


def test_a_qemu_that_ends_between_its_socket_and_our_call_is_not_waited_for(tmp_path: Path) -> None:
    """Its socket stays behind, and nobody listens on it."""
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "qmp.sock"))

    def check() -> None:
        raise GuestLost("QEMU was ended by signal SIGKILL")

    began = time.monotonic()
    with (
        pytest.raises(GuestLost, match="SIGKILL"),
        monitor(tmp_path, Deadline(60, "QMP"), check),
    ):
        pass
    assert time.monotonic() - began < 30


class Leaving(FakeQemu):
    """Greets, and goes."""

    def _reply(self, line: socket.socket, asked: dict[str, object]) -> bool:
        super()._reply(line, asked)
        return False


def test_a_qemu_that_goes_as_it_has_greeted_us_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The library asserts that it runs then: found by killing QEMU, 2 times in 50."""

    async def connect(client: QMPClient, address: str) -> None:
        await real(client, address)
        while client.runstate == Runstate.RUNNING:
            await asyncio.sleep(0.001)
        # As its own last step does, where the line broke before it.
        raise AssertionError

    real = QMPClient.connect
    monkeypatch.setattr(QMPClient, "connect", connect)
    monkeypatch.setattr(module, "END_SECONDS", 0.1)
    Leaving(tmp_path, lambda _: {})
    with (
        pytest.raises(GuestLost, match="closed its QMP line"),
        monitor(tmp_path, Deadline(10, "connecting"), lambda: None),
    ):
        pass
    gc.collect()
    assert not [one for one in caplog.records if one.name == "asyncio"]
