"""What is asked of an outer machine that stands still: whatever it answers, or does not."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import pytest

from freeonce.errors import GuestLost
from freeonce.machine.monitor import Monitor
from freeonce.survey.lane import standing
from freeonce.survey.lane.argv import LOOK
from freeonce.survey.lane.outer import SILENT_SECONDS, _Looker
from freeonce.survey.lane.standing import END, where_it_stands


class Qemu:
    """Answers HMP's commands, or is gone."""

    def __init__(self, answer: str | None) -> None:
        self.answer = answer

    def execute(self, _: str, arguments: dict[str, str]) -> str:
        if self.answer is None:
            raise GuestLost("QEMU closed its QMP line")
        return f"{arguments['command-line']}: {self.answer}"


def look(folder: Path, answer: str | None = "\x1b[2Jhalted") -> str:
    return where_it_stands(folder, cast(Monitor, Qemu(answer)))


@contextmanager
def itself(folder: Path, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / LOOK))
        server.listen()

        def accept() -> None:
            line, _ = server.accept()
            with line:
                serve(line)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield
        finally:
            thread.join()


def test_qemu_and_the_machine_are_asked_and_no_raw_escape_is_told(tmp_path: Path) -> None:
    def serve(line: socket.socket) -> None:
        assert line.recv(4096) == b"\n"
        line.sendall(b"== threads\r\n7 sleeping \x1b[31mqemu\r\n" + END)

    with itself(tmp_path, serve):
        told = look(tmp_path)
    assert "info registers: \\x1b[2Jhalted" in told
    assert "7 sleeping \\x1b[31mqemu" in told
    assert "\x1b" not in told
    assert "did not answer" not in told


def test_a_machine_that_stops_in_the_middle_is_told_with_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "ANSWER_SECONDS", 0.2)
    over = threading.Event()

    def serve(line: socket.socket) -> None:
        line.recv(4096)
        line.sendall(b"== threads\n")
        over.wait()

    with itself(tmp_path, serve):
        told = look(tmp_path)
        over.set()
    assert told.endswith("== threads\n== its own look did not answer to the end\n")


def test_a_machine_without_end_is_not_listened_to_without_end(tmp_path: Path) -> None:
    def serve(line: socket.socket) -> None:
        line.recv(4096)
        with suppress(OSError):
            while True:
                line.sendall(b"x" * 4096)

    with itself(tmp_path, serve):
        told = look(tmp_path)
    assert len(told) < 2 * standing.MOST_BYTES


def test_what_is_gone_is_told_as_that(tmp_path: Path) -> None:
    told = look(tmp_path, answer=None)
    assert told.count("QEMU closed its QMP line") == len(standing.ASKED_OF_QEMU)
    assert "== its own look: [Errno 2]" in told


def test_the_harness_waits_for_what_the_script_says_last() -> None:
    last = Path("guest/outer/look").read_text().splitlines()[-1]
    assert last == f'echo "{END.decode().strip()}"'


@pytest.mark.usefixtures("usual_speed")
def test_a_silence_is_looked_at_once_and_the_next_one_again() -> None:
    told: list[str] = []
    looker = _Looker(lambda: "== a\n== b", told.append)
    looker.silent(SILENT_SECONDS - 1)
    assert not told
    looker.silent(SILENT_SECONDS)
    looker.silent(SILENT_SECONDS + 10)
    assert told[1:] == ["== a", "== b"]
    looker.heard()
    looker.silent(SILENT_SECONDS)
    assert told[3:][1:] == ["== a", "== b"]
