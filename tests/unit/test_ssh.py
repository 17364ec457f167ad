"""SSH against servers that do not behave: deadlines hold, and no foreign exception gets out."""

import base64
import contextlib
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
import pytest

from freeonce.deadline import Deadline
from freeonce.errors import CommandFailed, DeadlineExceeded, GuestLost
from freeonce.machine import ssh as module
from freeonce.machine.ssh import library_beside, ssh


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("client", "host", "other"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    return folder


class Server(paramiko.ServerInterface):
    """A guest's SSH server that answers a command as told."""

    def __init__(self, answer: Callable[[paramiko.Channel, bytes], bool]) -> None:
        self.answer = answer

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        assert destination == ("127.0.0.1", 7)
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        return self.answer(channel, command)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def nothing(_channel: paramiko.Channel) -> None:
    """No port of the guest's answers."""


def serve(
    listener: socket.socket,
    keys: Path,
    answer: Callable[[paramiko.Channel, bytes], bool],
    port: Callable[[paramiko.Channel], None] = nothing,
) -> int:
    def one() -> None:
        line, _ = listener.accept()
        transport = paramiko.Transport(line)
        transport.add_server_key(paramiko.Ed25519Key.from_private_key_file(str(keys / "host")))
        # A client that refuses our key hangs up in the middle.
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            transport.start_server(server=Server(answer))
            channel = None if port is nothing else transport.accept(10)
            if channel is not None:
                port(channel)

    threading.Thread(target=one, daemon=True).start()
    return int(listener.getsockname()[1])


def later(work: Callable[[], object]) -> bool:
    threading.Timer(0.05, work).start()
    return True


def run(keys: Path, port: int, seconds: float = 10, host: str = "host.pub") -> bytes:
    deadline = Deadline(seconds, "the command")
    with ssh(port, keys / "client", keys / host, deadline, lambda: None) as line:
        return line.run("work", deadline)


def test_a_command_that_ends_well(keys: Path, listener: socket.socket) -> None:
    def answer(channel: paramiko.Channel, _: bytes) -> bool:
        def work() -> None:
            channel.sendall(b"x" * 200_000)
            channel.send_exit_status(0)
            channel.close()

        return later(work)

    assert run(keys, serve(listener, keys, answer)) == b"x" * 200_000


def test_a_command_that_fails_says_why(keys: Path, listener: socket.socket) -> None:
    def answer(channel: paramiko.Channel, _: bytes) -> bool:
        def work() -> None:
            channel.sendall_stderr(b"no \x1b[31msuch file")
            channel.send_exit_status(3)
            channel.close()

        return later(work)

    with pytest.raises(CommandFailed, match=r"status 3: no \\x1b\[31msuch file"):
        run(keys, serve(listener, keys, answer))


def test_a_command_that_a_signal_ended_is_not_taken_for_success(
    keys: Path, listener: socket.socket
) -> None:
    with pytest.raises(CommandFailed, match="without a status"):
        run(keys, serve(listener, keys, lambda channel, _: later(channel.close)))


def test_a_connection_that_breaks_is_a_lost_guest(keys: Path, listener: socket.socket) -> None:
    def answer(channel: paramiko.Channel, _: bytes) -> bool:
        return later(channel.get_transport().close)

    with pytest.raises(GuestLost, match="connection broke"):
        run(keys, serve(listener, keys, answer))


def test_a_server_that_never_answers_ends_at_the_deadline(
    keys: Path, listener: socket.socket
) -> None:
    def answer(_channel: paramiko.Channel, _command: bytes) -> bool:
        time.sleep(30)
        return True

    port = serve(listener, keys, answer)
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        run(keys, port, seconds=2)
    assert time.monotonic() - start < 15


def test_a_command_that_prints_without_end_ends_at_the_deadline(
    keys: Path, listener: socket.socket
) -> None:
    def answer(channel: paramiko.Channel, _: bytes) -> bool:
        def work() -> None:
            with contextlib.suppress(OSError, EOFError):
                while not channel.closed:
                    channel.sendall(b"y" * 1000)
                    # So little that the deadline is what ends it.
                    time.sleep(0.001)

        return later(work)

    with pytest.raises(GuestLost):
        run(keys, serve(listener, keys, answer), seconds=2)


def test_a_command_that_prints_too_much_leaves_the_guest_alive(
    keys: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_OUTPUT", 1 << 20)

    def answer(channel: paramiko.Channel, _: bytes) -> bool:
        def work() -> None:
            with contextlib.suppress(OSError, EOFError):
                while not channel.closed:
                    channel.sendall(b"y" * 10_000)

        return later(work)

    with pytest.raises(CommandFailed, match="'work' printed more than 1 MiB"):
        run(keys, serve(listener, keys, answer))


def fetch(keys: Path, port: int, seconds: float = 10) -> bytes:
    deadline = Deadline(seconds, "the account")
    with ssh(port, keys / "client", keys / "host.pub", deadline, lambda: None) as line:
        return line.fetch(7, b"ask\n", deadline)


def never(_channel: paramiko.Channel, _command: bytes) -> bool:
    return False


def test_a_port_of_the_guest_answers_to_its_end(keys: Path, listener: socket.socket) -> None:
    def port(channel: paramiko.Channel) -> None:
        asked = channel.recv(100)
        channel.sendall(asked + b"z" * 200_000)
        channel.close()

    assert fetch(keys, serve(listener, keys, never, port)) == b"ask\n" + b"z" * 200_000


def test_a_connection_that_breaks_in_an_answer_is_a_lost_guest(
    keys: Path, listener: socket.socket
) -> None:
    def port(channel: paramiko.Channel) -> None:
        channel.sendall(b"half of")
        channel.get_transport().close()

    with pytest.raises(GuestLost):
        fetch(keys, serve(listener, keys, never, port))


def test_a_port_that_never_ends_ends_at_the_deadline(keys: Path, listener: socket.socket) -> None:
    def port(channel: paramiko.Channel) -> None:
        channel.sendall(b"half of")
        time.sleep(30)

    with pytest.raises(DeadlineExceeded):
        fetch(keys, serve(listener, keys, never, port), seconds=2)


def test_another_host_key_is_refused(keys: Path, listener: socket.socket) -> None:
    port = serve(listener, keys, lambda *_: True)
    with pytest.raises(GuestLost, match="host key"):
        run(keys, port, host="other.pub")


@pytest.mark.parametrize(
    "greeting", [b"", b"HTTP/1.1 400\r\n\r\n", b"SSH-2.0-x\r\n" + base64.b64decode("AAAA") * 99]
)
def test_what_is_no_ssh_is_a_lost_guest(
    greeting: bytes, keys: Path, listener: socket.socket
) -> None:
    def one() -> None:
        line, _ = listener.accept()
        line.sendall(greeting)
        line.close()

    threading.Thread(target=one, daemon=True).start()
    with pytest.raises(GuestLost):
        run(keys, int(listener.getsockname()[1]), seconds=2)


# SO_LINGER with 0 seconds: whoever closes then resets (socket(7)).
@pytest.mark.parametrize("linger", [b"", struct.pack("ii", 1, 0)], ids=["end", "reset"])
def test_a_line_that_ends_before_anything_was_said_is_made_anew(
    linger: bytes, keys: Path, listener: socket.socket
) -> None:
    def answer(channel: paramiko.Channel, _: bytes) -> bool:
        def work() -> None:
            channel.send_exit_status(0)
            channel.close()

        return later(work)

    def hang_up_once() -> None:
        line, _ = listener.accept()
        if linger:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        line.close()
        serve(listener, keys, answer)

    threading.Thread(target=hang_up_once, daemon=True).start()
    assert run(keys, int(listener.getsockname()[1])) == b""


def test_who_gives_up_does_not_wait_for_a_guest_that_says_nothing(
    keys: Path, listener: socket.socket
) -> None:
    start = time.monotonic()
    deadline = Deadline(60, "connecting")
    port = int(listener.getsockname()[1])
    with ssh(port, keys / "client", keys / "host.pub", deadline, lambda: None):
        time.sleep(0.2)
    assert time.monotonic() - start < 15


def test_a_banner_moves_no_cursor_and_begins_no_line(keys: Path, listener: socket.socket) -> None:
    """What the library could not read stands in its error as it came."""

    def one() -> None:
        line, _ = listener.accept()
        line.sendall(b"\x01\x08\x1b[31mnot\r\n::error::ours" * 200)
        line.close()

    threading.Thread(target=one, daemon=True).start()
    with pytest.raises(GuestLost, match="ours") as lost:
        run(keys, int(listener.getsockname()[1]))
    said = str(lost.value)
    assert said.isprintable()
    assert len(said) < 1000


def test_nothing_ends_beside_a_library_that_is_being_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python that ended then was aborted: "FATAL: exception not rethrown"."""
    loading, loaded = threading.Event(), threading.Event()

    def load(_: str) -> None:
        loading.set()
        time.sleep(0.2)
        loaded.set()

    monkeypatch.setattr(module, "import_module", load)
    with contextlib.suppress(KeyboardInterrupt), library_beside():
        loading.wait()
        raise KeyboardInterrupt
    assert loaded.is_set()


def test_a_line_is_not_closed_beneath_who_is_about_to_wait_for_it(
    keys: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number was another file's then: a guest that was lost early ended in ten minutes."""
    made, ending = threading.Event(), threading.Event()
    open_then: list[bool] = []

    def about_to_wait(dialer: module._Dialer, deadline: Deadline) -> socket.socket:
        line = made_line(dialer, deadline)
        made.set()
        ending.wait()
        time.sleep(0.1)
        open_then.append(line.fileno() != -1)
        return line

    made_line = module._Dialer._line
    monkeypatch.setattr(module._Dialer, "_line", about_to_wait)
    port = listener.getsockname()[1]
    words = (port, keys / "client", keys / "host.pub", Deadline(60, "connecting"))
    begin = time.monotonic()
    with ssh(*words, lambda: None):
        made.wait()
        ending.set()
    assert open_then[0]
    assert time.monotonic() - begin < 30
