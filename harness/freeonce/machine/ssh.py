"""SSH to the guest: files, commands, and the guest's own account of its ledger.

The connection is made in the background: the guest needs a tenth of a second and more for
the key exchange, in which it can run a scenario.
"""

import base64
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from freeonce.deadline import Deadline
from freeonce.errors import CommandFailed, FreeonceError, GuestLost, Loss
from freeonce.evidence.quote import harmless
from freeonce.evidence.text import printable

if TYPE_CHECKING:
    import paramiko

# It prints what broke, and whatever the guest sent, with a traceback; we report it once.
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)

MAX_OUTPUT = 64 << 20
WORDS = 500
"""Characters of an error that are told."""
CHECK_SECONDS = 0.25
POLL_SECONDS = 0.002


@contextmanager
def library_beside() -> Iterator[None]:
    """Load the SSH library, which takes a tenth of a second, beside the block.

    It is waited for, also when an error ends us: Python that ends beside a thread in the middle of
    loading compiled code is aborted by the C library, in place of whatever status we end with.
    """
    loading = threading.Thread(target=import_module, args=("paramiko",))
    loading.start()
    try:
        yield
    finally:
        loading.join()


class Ssh:
    """An authenticated connection, or one that will be.

    Every method raises GuestLost when the guest is gone, or is not who it should be.
    """

    def __init__(
        self,
        connected: "Future[paramiko.Transport]",
        close: Callable[[], None],
        check: Callable[[], None],
    ) -> None:
        self._connected = connected
        self._close = close
        self._check = check

    def _transport(self, deadline: Deadline) -> "paramiko.Transport":
        """Wait until the connection stands."""
        while not self._connected.done():
            try:
                self._connected.exception(min(CHECK_SECONDS, deadline.left()))
            except TimeoutError:
                self._check()
        return self._connected.result()

    def run(self, command: str, deadline: Deadline, data: bytes | None = None) -> bytes:
        """A command's standard output. `data`: all of its standard input, which then ends.

        Raises CommandFailed with its error output for another status than 0, also when
        a signal ended it (RFC 4254, 6.10: then there is no status, but an answer).
        """
        with _lost_on_any_error(repr(command), self._check), self._limit(deadline):
            return self._run(self._transport(deadline), command, deadline, data)

    def _run(
        self, transport: "paramiko.Transport", command: str, deadline: Deadline, data: bytes | None
    ) -> bytes:
        with transport.open_session(timeout=deadline.left()) as channel:
            channel.exec_command(command)
            if data is not None:
                channel.sendall(data)
                channel.shutdown_write()
            ended = channel.exit_status_ready
            output, errors = self._drain(channel, repr(command), deadline, ended)
            status = channel.exit_status if channel.exit_status >= 0 else None
        if status != 0:
            # On one line: what begins a line of a log may be a command to who reads it.
            said = harmless(" ".join(printable(errors).split()))[:WORDS]
            how = "without a status: killed" if status is None else f"with status {status}"
            raise CommandFailed(f"{command!r} ended {how}: {said or 'it said nothing'}")
        return output

    def fetch(self, port: int, request: bytes, deadline: Deadline) -> bytes:
        """What a port of the guest's own loopback answers to the request, to its end.

        Nothing is started in the guest for it (RFC 4254, 7.2: direct-tcpip).
        """
        what = f"port {port} of the guest"
        with _lost_on_any_error(what, self._check), self._limit(deadline):
            transport = self._transport(deadline)
            ends = ("127.0.0.1", port), ("127.0.0.1", 0)
            with transport.open_channel("direct-tcpip", *ends, timeout=deadline.left()) as channel:
                channel.sendall(request)
                output, _ = self._drain(channel, what, deadline, lambda: True)
        return output

    @contextmanager
    def _limit(self, deadline: Deadline) -> Iterator[None]:
        """Close the connection at the deadline: paramiko waits for some answers without one."""
        timer = threading.Timer(deadline.left(), self._close)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception:
            deadline.left()
            raise
        finally:
            timer.cancel()

    def _drain(
        self,
        channel: "paramiko.Channel",
        what: str,
        deadline: Deadline,
        ended: Callable[[], bool],
    ) -> tuple[bytes, bytes]:
        """Output and errors to their end; no more comes after an EOF when `ended` says so."""
        output, errors = bytearray(), bytearray()
        checked = time.monotonic()
        while True:
            deadline.left()
            if time.monotonic() - checked > CHECK_SECONDS:
                self._check()
                checked = time.monotonic()
            # Before reading: what comes after the last data cannot be missed.
            over = channel.closed or (channel.eof_received and ended())
            moved = _move(channel, output, errors)
            if len(output) + len(errors) > MAX_OUTPUT:
                raise CommandFailed(f"{what} printed more than {MAX_OUTPUT >> 20} MiB")
            if over and not moved:
                break
            if not moved:
                time.sleep(POLL_SECONDS)
        if not channel.get_transport().is_active():
            raise EOFError("the connection broke")
        return bytes(output), bytes(errors)


def _move(channel: "paramiko.Channel", output: bytearray, errors: bytearray) -> bool:
    """Take what has come. Whether there was any."""
    moved = False
    if channel.recv_ready():
        output += channel.recv(1 << 16)
        moved = True
    if channel.recv_stderr_ready():
        errors += channel.recv_stderr(1 << 16)
        moved = True
    return moved


@contextmanager
def _lost_on_any_error(doing: str, check: Callable[[], None]) -> Iterator[None]:
    """Turn whatever paramiko raises into GuestLost: it hands on what its parser tripped over."""
    try:
        yield
    except FreeonceError:
        raise
    except Exception as error:
        check()
        raise GuestLost(f"SSH: {doing}: {_words(error)}", loss=Loss.SSH) from error


def _words(error: Exception) -> str:
    """An error's words on one line: some have a server's banner in them, which may be anything."""
    return harmless(" ".join(printable(str(error)).split()))[:WORDS] or type(error).__name__


class _Dialer:
    """Makes lines to a port of this machine until there is one on which somebody speaks.

    An SSH server speaks first (RFC 4253, 4.2). A guest that is short of time has been seen to hang
    up before it did; nothing was asked on such a line yet.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._lines = ExitStack()
        self._line_there: socket.socket | None = None
        self._is_over = False

    def dial(self, deadline: Deadline) -> "paramiko.Transport":
        """A connection on which nobody is known yet. Raises EOFError, OSError, DeadlineExceeded."""
        # Here, not above: `library_beside` may have it by now, and nothing before needs it.
        import paramiko  # noqa: PLC0415

        while (line := self._spoken(deadline)) is None:
            time.sleep(min(CHECK_SECONDS, deadline.left()))
        with self._lock:
            transport = paramiko.Transport(line)
            self._lines.callback(transport.close)
        return transport

    def _spoken(self, deadline: Deadline) -> socket.socket | None:
        """A line with something on it that was not taken yet; None when it ended before."""
        # A reset may come while the line is made.
        with suppress(ConnectionResetError):
            line = self._line(deadline)
            if line.recv(1, socket.MSG_PEEK):
                return line
        return None

    def _line(self, deadline: Deadline) -> socket.socket:
        with self._lock:
            self._lines.close()
            if self._is_over:
                raise EOFError("the connection was given up")
            line = socket.create_connection(("127.0.0.1", self._port), timeout=deadline.left())
            self._lines.callback(line.close)
            self._line_there = line
            # It sends two short messages after the key exchange; the second would wait for an
            # acknowledgement that QEMU's side delays by 40 ms.
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return line

    def hang_up(self) -> None:
        """End the line, and dial no more: from whichever thread, who waits for it is woken.

        It stays open: another thread may be just about to wait for its number, which would be
        another file's when it does.
        """
        with self._lock:
            self._is_over = True
            if self._line_there is not None:
                # It may have ended by itself.
                with suppress(OSError):
                    self._line_there.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """When nobody waits for it any more."""
        self._lines.close()


@contextmanager
def ssh(
    port: int, client_key: Path, host_key: Path, deadline: Deadline, check: Callable[[], None]
) -> Iterator[Ssh]:
    """Connect as root with `client_key`; the guest must have `host_key` (OpenSSH public form).

    What goes wrong with that, another host key too, is raised by what is asked first.
    """
    dialer = _Dialer(port)

    def connect() -> "paramiko.Transport":
        import paramiko  # noqa: PLC0415

        client = paramiko.Ed25519Key.from_private_key_file(str(client_key))
        host = paramiko.Ed25519Key(data=_key_blob(host_key))
        transport = dialer.dial(deadline)
        transport.banner_timeout = transport.handshake_timeout = deadline.left()
        transport.auth_timeout = deadline.left()
        transport.connect(hostkey=host, username="root", pkey=client)
        return transport

    with closing(dialer), ThreadPoolExecutor(1) as background:
        try:
            yield Ssh(background.submit(connect), dialer.hang_up, check)
        finally:
            dialer.hang_up()


def _key_blob(public: Path) -> bytes:
    # sshd(8), AUTHORIZED_KEYS FILE FORMAT: type, base64, comment.
    return base64.b64decode(public.read_text().split()[1])
