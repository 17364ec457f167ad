"""SSH to the guest: files, commands, and the guest's own account of its ledger."""

import base64
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko

from freeonce.deadline import Deadline
from freeonce.errors import CommandFailed, GuestLost

MAX_OUTPUT = 64 << 20
CHECK_SECONDS = 0.25
POLL_SECONDS = 0.002


class Ssh:
    """An authenticated connection. Every method raises GuestLost when the guest is gone."""

    def __init__(self, transport: paramiko.Transport, check: Callable[[], None]) -> None:
        self._transport = transport
        self._check = check

    def run(self, command: str, deadline: Deadline) -> bytes:
        """A command's standard output.

        Raises CommandFailed with its error output for another status than 0, also when
        a signal ended it (RFC 4254, 6.10: then there is no status).
        """
        try:
            with self._transport.open_session(timeout=deadline.left()) as channel:
                channel.settimeout(deadline.left())
                channel.exec_command(command)
                return self._finish(channel, command, deadline)
        except (paramiko.SSHException, OSError, EOFError) as error:
            self._check()
            raise GuestLost(f"SSH: {command!r}: {error or type(error).__name__}") from error

    def _finish(self, channel: paramiko.Channel, command: str, deadline: Deadline) -> bytes:
        output, errors = bytearray(), bytearray()
        checked = time.monotonic()
        while True:
            moved = False
            if channel.recv_ready():
                output += channel.recv(1 << 16)
                moved = True
            if channel.recv_stderr_ready():
                errors += channel.recv_stderr(1 << 16)
                moved = True
            if len(output) + len(errors) > MAX_OUTPUT:
                raise GuestLost(f"SSH: {command!r} printed more than {MAX_OUTPUT} bytes")
            if moved:
                continue
            if channel.closed or (channel.eof_received and channel.exit_status_ready()):
                break
            deadline.left()
            if time.monotonic() - checked > CHECK_SECONDS:
                self._check()
                checked = time.monotonic()
            time.sleep(POLL_SECONDS)
        status = channel.recv_exit_status() if channel.exit_status_ready() else -1
        if status != 0:
            said = errors.decode("utf-8", "replace").strip()[:500]
            how = f"status {status}" if status > 0 else "no status: killed, or the guest died"
            raise CommandFailed(f"{command!r} ended with {how}: {said or 'it said nothing'}")
        return bytes(output)


@contextmanager
def ssh(
    port: int, client_key: Path, host_key: Path, deadline: Deadline, check: Callable[[], None]
) -> Iterator[Ssh]:
    """Connect as root with `client_key`; the guest must have `host_key` (OpenSSH public form).

    Raises GuestLost when it does not answer or has another host key.
    """
    pinned = paramiko.Ed25519Key(data=_key_blob(host_key))
    try:
        line = socket.create_connection(("127.0.0.1", port), timeout=deadline.left())
    except OSError as error:
        check()
        raise GuestLost(f"SSH: port {port}: {error}") from error
    with line:
        try:
            transport = paramiko.Transport(line)
        except paramiko.SSHException as error:
            raise GuestLost(f"SSH: {error}") from error
        try:
            transport.banner_timeout = deadline.left()
            transport.connect(
                hostkey=pinned,
                username="root",
                pkey=paramiko.Ed25519Key.from_private_key_file(str(client_key)),
            )
            yield Ssh(transport, check)
        except (paramiko.SSHException, EOFError) as error:
            check()
            raise GuestLost(f"SSH: {error or type(error).__name__}") from error
        finally:
            transport.close()


def _key_blob(public: Path) -> bytes:
    # sshd(8), AUTHORIZED_KEYS FILE FORMAT: type, base64, comment.
    return base64.b64decode(public.read_text().split()[1])
