"""The control line against guests that do not behave: deadlines hold, garbage is a lost guest."""

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from freeonce.deadline import Deadline
from freeonce.errors import CommandFailed, DeadlineExceeded, GuestLost, Loss
from freeonce.guest.guest import Guest
from freeonce.machine.control import LINE_BYTES, Control, control

Answer = Callable[[bytes], bytes]
ENGINE = Path(__file__).resolve().parents[2] / "guest/instrument/engine"


@contextmanager
def guest(
    tmp_path: Path, answer: Answer, check: Callable[[], None] = lambda: None
) -> Iterator[Control]:
    """A control line whose other end answers each request as told, and then hangs up."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "control.sock"))
        listener.listen()

        def serve() -> None:
            line, _ = listener.accept()
            with line, line.makefile("rb") as requests, contextlib.suppress(OSError):
                for request in requests:
                    said = answer(request)
                    if not said:
                        break
                    line.sendall(said)

        threading.Thread(target=serve, daemon=True).start()
        with control(tmp_path, check) as line:
            yield line


def soon(seconds: float = 10) -> Deadline:
    return Deadline(seconds, "the request")


def good(request: bytes) -> bytes:
    return request.split()[0] + b" 0\n"


def test_each_request_bears_its_number_and_each_answer_too(tmp_path: Path) -> None:
    heard = []

    def answer(request: bytes) -> bytes:
        heard.append(request)
        return good(request)

    with guest(tmp_path, answer) as line:
        line.ask("run c/pool fail=2", soon())
        line.ask("settle", soon())
    assert heard == [b"1 run c/pool fail=2\n", b"2 settle\n"]


def test_an_error_is_a_command_that_failed_and_the_next_goes_on(tmp_path: Path) -> None:
    answers = iter([b"1 2\n", b"2 0\n"])
    with guest(tmp_path, lambda _: next(answers)) as line:
        with pytest.raises(CommandFailed, match=r"'run no/such': .*No such file"):
            line.ask("run no/such", soon())
        line.ask("ping", soon())


@pytest.mark.parametrize("request_", ["run a\n2 rewind", "run " + "x" * LINE_BYTES, "\n"])
def test_what_is_no_line_is_not_sent(request_: str, tmp_path: Path) -> None:
    with guest(tmp_path, good) as line:
        with pytest.raises(CommandFailed, match="cannot be sent"):
            line.ask(request_, soon())
        line.ask("ping", soon())


@pytest.mark.parametrize(
    "answer",
    [
        b"2 0\n",
        b"0\n",
        b"1 0 0\n",
        b"1 -2\n",
        b"1 99999\n",
        b"\n",
        b"\x00\xff\x1b[31m\n",
        b"x" * LINE_BYTES * 4,
        b"1 0" * LINE_BYTES,
        "1 \N{ARABIC-INDIC DIGIT ZERO}\n".encode(),
    ],
)
def test_what_is_no_answer_is_a_lost_guest(answer: bytes, tmp_path: Path) -> None:
    with guest(tmp_path, lambda _: answer) as line, pytest.raises(GuestLost, match="no ans") as e:
        line.ask("ping", soon())
    assert e.value.loss is Loss.CONTROL
    assert "\x1b" not in str(e.value)


def test_an_answer_too_many_is_not_taken_for_the_next(tmp_path: Path) -> None:
    with guest(tmp_path, lambda request: good(request) * 2) as line:
        line.ask("ping", soon())
        with pytest.raises(GuestLost, match="no answer"):
            line.ask("ping", soon())


def test_an_answer_may_come_in_pieces(tmp_path: Path) -> None:
    """A serial line has no messages."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pieces = iter([b"1", b" ", b"0", b"\n"])

        def send() -> None:
            with contextlib.suppress(StopIteration):
                theirs.sendall(next(pieces))

        send()
        Control(ours, send).ask("ping", soon())
    assert list(pieces) == []


@pytest.mark.usefixtures("usual_speed")
@pytest.mark.parametrize("dripping", [False, True])
def test_a_guest_that_does_not_answer_ends_at_the_deadline(dripping: bool, tmp_path: Path) -> None:
    """Also one that sends now and then, but never a line."""
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(DeadlineExceeded, match=r"the request took more than 0\.5 s"):
        Control(ours, lambda: theirs.sendall(b"x" if dripping else b"")).ask("ping", soon(0.5))


def test_while_it_waits_it_asks_whether_the_guest_lives(tmp_path: Path) -> None:
    def dead() -> None:
        raise GuestLost("it panicked", loss=Loss.PANIC)

    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(GuestLost, match="it panicked"):
        Control(ours, dead).ask("ping", soon())


def test_a_line_that_breaks_is_a_lost_guest(tmp_path: Path) -> None:
    with guest(tmp_path, lambda _: b"") as line, pytest.raises(GuestLost, match="control line"):
        line.ask("ping", soon())


def test_a_scenario_may_take_its_seconds_and_the_kernel_then_time_to_come_to_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As long as the instrument itself waits, which then says that it did not."""
    asked = []
    monkeypatch.setattr(Guest, "ask", lambda _, *given: asked.append(given))
    Guest.__new__(Guest).run("c/pool", 5.0)
    rest = [
        int(re.findall(r"#define PATIENCE_MS (\d+)", (ENGINE / name).read_text())[0])
        for name in ("timers.c", "rest.c")
    ]
    assert asked == [("run c/pool", 5.0 + sum(rest) / 1000)]
