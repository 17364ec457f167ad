"""`freeonce debug`: gdb on a guest, with symbols, stopped before a scenario."""

import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from elftools.elf.elffile import ELFFile

from freeonce.byhand.debugger import (
    BEFORE_RUN,
    BEFORE_VMRUN,
    SYMBOLS,
    Loaded,
    commands,
    kernel_source,
    section_addresses,
    sections_folder,
)
from freeonce.byhand.guests import by_hand
from freeonce.byhand.session import Session
from freeonce.cli.completion import scenario_names
from freeonce.cli.options import accelerator_option
from freeonce.errors import HostError
from freeonce.evidence.text import printable
from freeonce.guest import Guest, template_of
from freeonce.project.image import Image
from freeonce.project.setting import find_setting


@click.command()
@click.argument("scenario", required=False, shell_complete=scenario_names)
@click.option("--at-vmrun", is_flag=True, help="Stop before the scenario's first VMRUN.")
@click.option("--gdb", default="gdb", show_default=True, help="The debugger with its arguments.")
@accelerator_option
@click.pass_context
def debug(
    context: click.Context, scenario: str | None, at_vmrun: bool, gdb: str, accel: str
) -> None:
    """Run SCENARIO under gdb, with the modules' symbols and the names of the kernel's.

    The guest stands before the scenario's run, or without SCENARIO where it was, and goes
    when gdb ends. Where gdb is not installed, the command for another machine's or another
    terminal's is printed.
    """
    if at_vmrun and scenario is None:
        raise click.UsageError("--at-vmrun stops in a scenario; name one")
    try:
        program, *rest = shlex.split(gdb)
    except ValueError:
        raise click.UsageError(f"--gdb {gdb!r} is no command with arguments") from None
    setting = find_setting(accel)
    with template_of(setting) as source, Session(by_hand(setting, source, "debug")) as session:
        guest, stop = session.guest, None
        if scenario is not None:
            session.find(scenario)
            stop = BEFORE_VMRUN if at_vmrun else BEFORE_RUN
        script = _prepare(guest, setting.image, stop)
        guest.monitor.execute("stop")
        if scenario is not None:
            # It begins when gdb lets the guest run, and not before the breakpoint is set.
            guest.begin(scenario)
        # Before commands of the user's own, which are for the guest that stands.
        argv = [program, "-x", str(script), *rest]
        if shutil.which(argv[0]) is None:
            _wait(argv)
            return
        with _ctrl_c_is_for_gdb():
            context.exit(subprocess.run(argv, check=False).returncode)


def _prepare(guest: Guest, image: Image, stop: str | None) -> Path:
    """Start QEMU's gdb server; the file of gdb's commands, in the guest's folder."""
    folder = guest.monitor.folder
    kernel = _kernel_symbols(printable(guest.command(f"cat {SYMBOLS}")), folder)
    modules = [
        _loaded(guest, name, file)
        for name, file in (("freeonce", image.module), ("specimens", image.specimens))
    ]
    server = folder / "gdb.sock"
    line = f"gdbserver unix:{server},server=on,wait=off"
    guest.monitor.execute("human-monitor-command", {"command-line": line})
    script = folder / "commands.gdb"
    script.write_text("\n".join(commands(modules, kernel, server, stop)) + "\n")
    return script


def _loaded(guest: Guest, name: str, file: Path) -> Loaded:
    with file.open("rb") as opened:
        names = [one.name for one in ELFFile(opened).iter_sections() if _lasts(one.name)]
    said = printable(guest.command(f"grep -r . {sections_folder(name)}"))
    return Loaded(file, section_addresses(said, name, names))


def _lasts(section: str) -> bool:
    """Whether a section of the module has code or data and stays after it was loaded."""
    return section.startswith((".text", ".exit.text", ".data", ".rodata", ".bss"))


def _kernel_symbols(said: str, folder: Path) -> Path:
    """An object file with the kernel's symbols. Raises HostError `no-assembler`."""
    symbols = folder / "kernel.o"
    done = subprocess.run(
        ["as", "--64", "-o", str(symbols), "-"],
        input=kernel_source(said),
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise HostError("no-assembler", f"`as` cannot make the kernel's symbols: {done.stderr}")
    return symbols


def _wait(argv: list[str]) -> None:
    click.echo(f"{argv[0]} is not installed here. The guest waits for:\n  {shlex.join(argv)}")
    click.pause("Press a key when you are done; the guest goes then.")


@contextmanager
def _ctrl_c_is_for_gdb() -> Iterator[None]:
    # Not SIG_IGN, which gdb would inherit.
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
