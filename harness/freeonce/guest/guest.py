"""One running guest: the machine, our module in it, and what can be asked of it."""

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from freeonce.deadline import Deadline
from freeonce.errors import CommandFailed, GuestLost, HostError, Loss
from freeonce.evidence.account import parse_account
from freeonce.evidence.ledger import HEADER_BYTES, RECORD_BYTES
from freeonce.evidence.scenarios import Scenario, parse_scenarios
from freeonce.evidence.text import printable
from freeonce.guest.reading import Readable
from freeonce.machine.argv import MachineConfig
from freeonce.machine.console import Console
from freeonce.machine.control import Control
from freeonce.machine.monitor import Monitor
from freeonce.machine.process import Process
from freeonce.machine.ssh import Ssh

COMMAND_SECONDS = 30.0
REST_SECONDS = 20.0
"""In which the instrument waits for timers, and then for work, when a scenario is over
(guest/instrument/engine/timers.c, rest.c): then it says that they did not come to rest."""
CONTROL = "/sys/kernel/debug/freeonce"
ACCOUNT_PORT = 7
"""Of the guest's loopback (guest/LEDGER.md, "Account")."""
TABLE = f"cat {CONTROL}/scenarios"


class Guest(Readable):
    """A guest with the module loaded. All that it answers is untrusted.

    Every method raises GuestLost, with the last lines of the console, when the guest is
    gone or does not answer.
    """

    def __init__(
        self, config: MachineConfig, process: Process, line: Monitor, console: Console
    ) -> None:
        super().__init__(config, line)
        self.process = process
        self.console = console
        self._act: Callable[[], None] | None = None
        self.table: bytes | None = None
        """The scenarios as a template's guest told them; None to ask this one."""

    def check(self) -> None:
        """Raise GuestLost when QEMU has ended or its CPUs do not run."""
        self.process.check()
        self.console.drain()
        status = self.monitor.status()
        if status not in ("running", "paused", "prelaunch"):
            tail = self.console.tail()
            raise GuestLost(f"the guest stopped: {status}", tail, loss_of(status, tail))
        act, self._act = self._act, None
        if act is not None:
            try:
                act()
            finally:
                self._act = act

    @contextmanager
    def meanwhile(self, act: Callable[[], None]) -> Iterator[None]:
        """In this block do that again and again while a command in the guest is waited for.

        It may use the control line, which nobody else uses in the block.
        """
        self._act = act
        try:
            yield
        finally:
            self._act = None

    def use(self, line: Control) -> None:
        """Take the control line."""
        self._control = line

    def connect(self, shell: Ssh) -> None:
        """Take the SSH connection."""
        self._shell = shell

    def ask(self, request: str, seconds: float = COMMAND_SECONDS) -> None:
        """Have the guest's control line do it. Raises CommandFailed when it cannot."""
        self.ask_by(request, Deadline(seconds, f"{request!r} in the guest"))

    def ask_by(self, request: str, deadline: Deadline) -> None:
        """The same, within a deadline that the caller has."""
        try:
            self._control.ask(request, deadline)
        except GuestLost as lost:
            lost.console = lost.console or self.console.tail()
            raise

    def command(
        self, command: str, seconds: float = COMMAND_SECONDS, data: bytes | None = None
    ) -> bytes:
        """A shell command's output, by SSH. Raises CommandFailed for another status than 0.

        `data`: its standard input.
        """
        purpose = f"{command[:80]!r} in the guest"
        try:
            return self._shell.run(command, Deadline(seconds, purpose), data)
        except GuestLost as lost:
            lost.console = lost.console or self.console.tail()
            raise

    def load_modules(self) -> None:
        """The instrument, then the specimens if the guest is to have them.

        Raises HostError with the kernel's words when one of them refuses.
        """
        window = self.config.window
        self._load(f"freeonce.ko window_base={window.base} window_bytes={window.size}")
        if self.config.specimens:
            self._load("specimens.ko")
        # What the kernel found wrong while it booted is not to be told of a run.
        self.sound()

    def _load(self, module: str) -> None:
        try:
            self.command(f"insmod /lib/{module}")
        except CommandFailed as error:
            said = printable(self.command("dmesg | grep -e freeonce -e specimens | tail -n 5"))
            raise HostError("no-module", f"a module does not load: {error}\n{said}") from error

    def unload_modules(self) -> None:
        """The specimens, then the instrument. Raises CommandFailed when one does not go."""
        self.command("rmmod specimens freeonce")

    def scenarios(self) -> tuple[Scenario, ...]:
        """The guest's table. Raises EvidenceError when it cannot be read as one."""
        return parse_scenarios(self.table or self.command(TABLE))

    def run(self, name: str, seconds: float = COMMAND_SECONDS) -> None:
        """Run a scenario to its end. What it did is in the ledger.

        `seconds`: that it may take by itself; the kernel then has REST_SECONDS to come to rest.
        """
        self.ask(f"run {name}", seconds + REST_SECONDS)

    def begin(self, name: str) -> None:
        """Have a scenario run when the guest does, and do not wait for it: for a debugger."""
        self.tell_to(f"run {name}")

    def tell_to(self, request: str) -> None:
        """Have the guest do anything, when it runs, and do not wait for it; the last request."""
        self._control.tell(request, Deadline(COMMAND_SECONDS, "telling the guest"))

    def sound(self) -> bool:
        """Whether the kernel has found nothing wrong since it was asked this last.

        Raises CommandFailed when nobody can tell.
        """
        try:
            self.ask("sound")
        except CommandFailed as error:
            if error.error != errno.EUCLEAN:
                raise
            return False
        return True

    def rewind(self) -> None:
        """Begin the ledger anew, when all of it was read."""
        self.ask("rewind")

    def settle(self) -> None:
        """Let the module give back what the run left."""
        self.ask("settle")

    def tell(self, first: int) -> bytes:
        """The records from `first`: the guest's own account of its ledger, over SSH.

        Raises CommandFailed when the guest cannot, or breaks off.
        """
        request = b"%d\n" % (HEADER_BYTES + first * RECORD_BYTES)
        deadline = Deadline(COMMAND_SECONDS, "the guest's account of its ledger")
        try:
            return parse_account(self._shell.fetch(ACCOUNT_PORT, request, deadline))
        except GuestLost as lost:
            lost.console = lost.console or self.console.tail()
            raise


def loss_of(status: str, console: str) -> Loss:
    """How a guest was lost, from QEMU's run state and its last words."""
    if "freeonce: Rust panic" in console:
        return Loss.RUST_PANIC
    if re.search(r"\bOops\b|kernel BUG at|BUG: ", console):
        return Loss.OOPS
    if status == "guest-panicked" or "Kernel panic" in console:
        return Loss.PANIC
    return Loss.RESET
