"""One running guest: the machine, our module in it, and what can be asked of it."""

import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from freeonce.deadline import Deadline
from freeonce.errors import CommandFailed, EvidenceError, GuestLost, HostError, Loss
from freeonce.evidence.account import parse_account
from freeonce.evidence.ledger import HEADER_BYTES, RECORD_BYTES, Header, parse_header
from freeonce.evidence.paging import CR4_LA57, translate
from freeonce.evidence.scenarios import Scenario, parse_scenarios
from freeonce.evidence.snapshot import Extent, Snapshot, merge
from freeonce.evidence.text import printable
from freeonce.image import Image
from freeonce.machine.argv import MachineConfig, Ram, qemu_argv
from freeonce.machine.console import Console
from freeonce.machine.control import Control, control
from freeonce.machine.folder import guest_folder
from freeonce.machine.monitor import Monitor
from freeonce.machine.process import Process
from freeonce.machine.ssh import Ssh, load_library, ssh
from freeonce.machine.start import started
from freeonce.machine.template import STATE, Template, ram_files

BOOT_SECONDS = 120.0
CLONE_SECONDS = 60.0
CONNECT_SECONDS = 600.0
QUIET_SECONDS = 0.2
SEED_BYTES = 32
COMMAND_SECONDS = 30.0
CONTROL = "/sys/kernel/debug/freeonce"
ACCOUNT_PORT = 7
"""Of the guest's loopback (guest/LEDGER.md, "Account")."""
TABLE = f"cat {CONTROL}/scenarios"
READY = "freeonce: ready"
MAX_LOOK = 256 << 20
"""Bytes of memory that one look may read: the ledger says where, and it may lie."""


class Guest:
    """A guest with the module loaded. All that it answers is untrusted.

    Every method raises GuestLost, with the last lines of the console, when the guest is
    gone or does not answer.
    """

    def __init__(
        self, config: MachineConfig, process: Process, line: Monitor, console: Console
    ) -> None:
        self.config = config
        self.process = process
        self.monitor = line
        self.console = console
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

    def use(self, line: Control) -> None:
        """Take the control line."""
        self._control = line

    def connect(self, shell: Ssh) -> None:
        """Take the SSH connection."""
        self._shell = shell

    def ask(self, request: str, seconds: float = COMMAND_SECONDS) -> None:
        """Have the guest's control line do it. Raises CommandFailed when it cannot."""
        try:
            self._control.ask(request, Deadline(seconds, f"{request!r} in the guest"))
        except GuestLost as lost:
            lost.console = lost.console or self.console.tail()
            raise

    def command(self, command: str, seconds: float = COMMAND_SECONDS) -> bytes:
        """A shell command's output, by SSH. Raises CommandFailed for another status than 0."""
        try:
            return self._shell.run(command, Deadline(seconds, f"{command!r} in the guest"))
        except GuestLost as lost:
            lost.console = lost.console or self.console.tail()
            raise

    def load_module(self) -> None:
        """Raises HostError with the kernel's words when the module refuses."""
        window = self.config.window
        try:
            self.command(
                f"insmod /lib/freeonce.ko window_base={window.base} window_bytes={window.size}"
            )
        except CommandFailed as error:
            said = printable(self.command("dmesg | grep freeonce | tail -n 5"))
            raise HostError("no-module", f"the module does not load: {error}\n{said}") from error

    def unload_module(self) -> None:
        """Raises CommandFailed when it does not go."""
        self.command("rmmod freeonce")

    def scenarios(self) -> tuple[Scenario, ...]:
        """The guest's table. Raises EvidenceError when it cannot be read as one."""
        return parse_scenarios(self.table or self.command(TABLE))

    def run(self, name: str, seconds: float = COMMAND_SECONDS) -> None:
        """Run a scenario to its end. What it did is in the ledger."""
        self.ask(f"run {name}", seconds)

    def begin(self, name: str) -> None:
        """Have a scenario run when the guest does, and do not wait for it: for a debugger."""
        self._control.tell(f"run {name}", Deadline(COMMAND_SECONDS, "telling the guest"))

    def rewind(self) -> None:
        """Begin the ledger anew, when all of it was read."""
        self.ask("rewind")

    def settle(self) -> None:
        """Let the module give back what the run left."""
        self.ask("settle")

    def header(self) -> Header:
        """The ledger's header, read by the host. Raises EvidenceError."""
        window = self.config.window
        return parse_header(self.monitor.read_memory(window.base, HEADER_BYTES), window.size)

    def window(self, first: int) -> tuple[Header, bytes]:
        """The header and the records from `first` (0-based), as they stand in memory.

        Read by the host while the guest is held still. Raises EvidenceError.
        """
        with self.monitor.paused():
            header = self.header()
            start = self.config.window.base + HEADER_BYTES + first * RECORD_BYTES
            count = max(header.count - first, 0)
            return header, self.monitor.read_memory(start, count * RECORD_BYTES)

    def look(self, extents: Sequence[Extent]) -> Snapshot:
        """Guest-physical memory; what lies outside of the guest's memory is left out.

        Raises EvidenceError when that is more than MAX_LOOK.
        """
        inside = [one for one in extents if one.gpa >= 0 and one.end <= self.config.memory]
        reads = merge(inside)
        if sum(extent.size for extent in reads) > MAX_LOOK:
            raise EvidenceError(f"the ledger names more than {MAX_LOOK} bytes to look at")
        return Snapshot(
            (extent.gpa, self.monitor.read_memory(extent.gpa, extent.size)) for extent in reads
        )

    def translate(self, gvas: Sequence[int]) -> dict[int, int | None]:
        """The gpa of each gva, by the page tables that the CPU uses now."""
        registers = self.monitor.registers()
        found = {}
        for name in ("CR3", "CR4"):
            match = re.search(rf"\b{name}=([0-9a-f]+)", registers)
            if match is None:
                raise EvidenceError(f"QEMU does not tell {name}")
            found[name] = int(match[1], 16)
        levels = 5 if found["CR4"] & CR4_LA57 else 4
        return translate(gvas, found["CR3"], levels, self.look)

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


def _start(
    config: MachineConfig,
    stack: ExitStack,
    deadline: Deadline,
    ram: Ram | None = None,
    files: Sequence[int] = (),
) -> Guest:
    """A QEMU whose guest does not run yet, with the lines to it."""
    folder = stack.enter_context(guest_folder())
    qemu = stack.enter_context(started(qemu_argv(config, folder, ram), folder, deadline, files))
    guest = Guest(config, qemu.process, qemu.monitor, qemu.console)
    guest.use(stack.enter_context(control(folder, guest.check)))
    return guest


def _connect(guest: Guest, image: Image, stack: ExitStack) -> None:
    port = guest.monitor.forwarded_port()
    keys = image.client_key, image.host_key
    # Long: a scenario may keep the CPU to itself. Who asks first waits as long as it wants to.
    deadline = Deadline(CONNECT_SECONDS, "connecting to the guest by SSH")
    guest.connect(stack.enter_context(ssh(port, *keys, deadline, guest.check)))


def _boot(
    config: MachineConfig,
    image: Image,
    stack: ExitStack,
    deadline: Deadline,
    ram: Ram | None = None,
) -> Guest:
    guest = _start(config, stack, deadline, ram)
    guest.monitor.execute("cont")
    try:
        guest.console.wait_for(READY, deadline, guest.check)
    except GuestLost as lost:
        lost.console = lost.console or guest.console.tail()
        raise
    return guest


@contextmanager
def boot(
    config: MachineConfig, image: Image, seconds: float = BOOT_SECONDS, *, load: bool = True
) -> Iterator[Guest]:
    """A booted guest with the module in it; nothing of it is left when the block ends.

    Raises GuestLost or HostError; then nothing is left either.
    """
    with ExitStack() as stack:
        deadline = Deadline(seconds, "booting the guest")
        guest = _boot(config, image, stack, deadline)
        _connect(guest, image, stack)
        if load:
            guest.load_module()
        yield guest


def take_template(
    config: MachineConfig, image: Image, folder: Path, seconds: float = BOOT_SECONDS
) -> bytes:
    """Boot a guest whose memory is in `folder`, and save it there; its table of scenarios.

    The module is loaded, its ledger empty, SVM off, and nobody is connected.

    Raises as `boot`, and EvidenceError when the table cannot be read as one.
    """
    ram = Ram(tuple(map(str, ram_files(config, folder))), clone=False)
    with ExitStack() as stack:
        deadline = Deadline(seconds, "booting the guest for a template")
        guest = _boot(config, image, stack, deadline, ram)
        with ExitStack() as connection:
            _connect(guest, image, connection)
            guest.load_module()
            table = guest.command(TABLE)
            parse_scenarios(table)
            _rehearse(guest)
        # The guest's end of the connection goes by itself; one that stayed would do no harm.
        time.sleep(QUIET_SECONDS)
        guest.check()
        guest.monitor.save(folder / STATE, deadline)
        return table


def _rehearse(guest: Guest) -> None:
    """What each clone is asked first: pages that this needs are then there in all of them."""
    _awaken(guest, COMMAND_SECONDS)
    guest.tell(0)


def _awaken(guest: Guest, seconds: float) -> None:
    """Before anything in it draws a number that another clone would draw, too."""
    guest.ask(f"reseed {secrets.token_hex(SEED_BYTES)}", seconds)
    guest.ask(f"clock {time.time_ns()}", seconds)


@contextmanager
def clone(
    template: Template, image: Image, seconds: float = CLONE_SECONDS, *, connect: bool = True
) -> Iterator[Guest]:
    """A guest of its own that begins where the template was taken; used like `boot`.

    Its memory is copied on write. Random numbers and wall clock are its own. Without
    `connect` there is no SSH, only the control line.
    """
    if connect:
        load_library()
    with ExitStack() as stack:
        deadline = Deadline(seconds, "starting a clone")
        state = stack.enter_context(template.read_state())
        files = *template.rams, state
        guest = _start(template.config, stack, deadline, template.ram, files)
        try:
            guest.monitor.restore(state, deadline)
        except GuestLost:
            guest.process.check()
            raise
        guest.monitor.execute("cont")
        guest.table = template.table
        _awaken(guest, deadline.left())
        if connect:
            _connect(guest, image, stack)
        yield guest
