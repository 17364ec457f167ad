"""`freeonce debug`: gdb on a guest, with symbols, stopped before a scenario or in a life."""

import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import gettempdir

import click
from elftools.elf.elffile import ELFFile

from freeonce.audit.attempts import Where
from freeonce.byhand.debugger import (
    BEFORE_FAILURE,
    BEFORE_LIFE,
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
from freeonce.byhand.standing import symbols_when_it_stands
from freeonce.cli.completion import scenario_names
from freeonce.cli.failing import WherePoint
from freeonce.cli.options import accelerator_option
from freeonce.errors import HostError
from freeonce.evidence.text import printable
from freeonce.guest import Guest
from freeonce.machine.folder import kept_folder
from freeonce.project.image import Image
from freeonce.project.setting import find_setting
from freeonce.run.audit import ready
from freeonce.run.hire import template_for_any
from freeonce.run.lives import make_ready
from freeonce.run.prepare import Prepared, Wish, prepare


@dataclass(frozen=True)
class _Stop:
    """What the guest is asked for, and the function before which it stands then.

    `prepared`: of a life, None for a scenario.
    """

    request: str
    function: str
    prepared: Prepared | None = None


@click.command()
@click.argument("scenario", required=False, shell_complete=scenario_names)
@click.option("--at-vmrun", is_flag=True, help="Stop before the scenario's first VMRUN.")
@click.option(
    "--module", "targets", multiple=True, help="Run the life of a module, as `audit` does."
)
@click.option("--params", default="", help="Parameters of the modules, as for `audit`.")
@click.option(
    "-c", "exercises", multiple=True, help="A command to run with the modules, as for `audit`."
)
@click.option(
    "--fail-point",
    type=WherePoint(),
    help="Make acquisition N fail, as with `run` or `audit`, and stop there.",
)
@click.option("--gdb", default="gdb", show_default=True, help="The debugger with its arguments.")
@accelerator_option
@click.pass_context
def debug(
    context: click.Context,
    /,
    *,
    scenario: str | None,
    at_vmrun: bool,
    targets: tuple[str, ...],
    params: str,
    exercises: tuple[str, ...],
    fail_point: Where | None,
    gdb: str,
    accel: str,
) -> None:
    """Run SCENARIO under gdb, with the symbols of the modules and of the kernel.

    The guest stops before the scenario's run or the module's life, with --fail-point where that
    acquisition fails, and without any of these wherever it is. It ends with gdb. Where gdb is
    not installed, the command is printed, for gdb on another machine or in another terminal.
    """
    _check(scenario, at_vmrun, targets, fail_point)
    try:
        program, *rest = shlex.split(gdb)
    except ValueError:
        raise click.UsageError(f"--gdb {gdb!r} is no command with arguments") from None
    setting = find_setting(accel, svm=not targets)
    stop: _Stop | None
    with ExitStack() as stack:
        if targets:
            scratch = stack.enter_context(kept_folder(Path(gettempdir())))
            wish = Wish(targets, params, commands=exercises)
            prepared = prepare(wish, setting.image, scratch)
            setting, source = stack.enter_context(ready(setting))
            stop = _Stop("lead", BEFORE_LIFE, prepared)
        else:
            source = stack.enter_context(template_for_any(setting))
            function = BEFORE_VMRUN if at_vmrun else BEFORE_RUN
            stop = _Stop(f"run {scenario}", function) if scenario else None
        if stop and fail_point:
            request = f"{stop.request} {fail_point.options}"
            stop = replace(stop, request=request, function=BEFORE_FAILURE)
        session = stack.enter_context(Session(by_hand(setting, source, "debug")))
        if scenario is not None:
            session.find(scenario)
        # Before commands of the user's own, which are for the guest that stands.
        argv = [program, "-x", str(_stopped(session.guest, setting.image, stop, stack)), *rest]
        if shutil.which(argv[0]) is None:
            _wait(argv)
            return
        with _ctrl_c_is_for_gdb():
            status = subprocess.run(argv, check=False).returncode
    context.exit(status)


def _check(
    scenario: str | None, at_vmrun: bool, targets: tuple[str, ...], fail_point: Where | None
) -> None:
    """Raises click.UsageError."""
    if at_vmrun and scenario is None:
        raise click.UsageError("--at-vmrun stops in a scenario; name one")
    if targets and scenario is not None:
        raise click.UsageError("--module is instead of a scenario")
    if fail_point is not None and (at_vmrun or not (targets or scenario)):
        raise click.UsageError("--fail-point stops in a scenario or a --module; name one")


def _stopped(guest: Guest, image: Image, stop: _Stop | None, stack: ExitStack) -> Path:
    """The file of gdb's commands, for a guest that stands and was told what to do."""
    subjects = None
    if stop is not None and stop.prepared is not None:
        make_ready(guest, stop.prepared.plan)
        subjects = guest.monitor.folder / "subjects.gdb"
    first = guest.header().count
    script = _prepare(guest, image, stop.function if stop else None, subjects)
    guest.monitor.execute("stop")
    if stop is not None:
        # It begins when gdb lets the guest run, and not before the breakpoint is set.
        guest.tell_to(stop.request)
    if stop is not None and stop.prepared is not None and subjects is not None:
        modules = {}
        for one in stop.prepared.sources:
            # What was built has no file any more.
            file = guest.monitor.folder / f"{one.module.name}.ko"
            file.write_bytes(one.module.elf.data)
            modules[one.module.name] = replace(one.module, path=file)
        stack.enter_context(symbols_when_it_stands(guest, first, modules, subjects))
    return script


def _prepare(guest: Guest, image: Image, stop: str | None, subjects: Path | None = None) -> Path:
    """Start QEMU's gdb server; the file of gdb's commands, in the guest's folder."""
    folder = guest.monitor.folder
    kernel = _kernel_symbols(printable(guest.command(f"cat {SYMBOLS}")), folder)
    files = {"freeonce": image.module}
    if guest.config.specimens:
        files["specimens"] = image.specimens
    modules = [_loaded(guest, name, file) for name, file in files.items()]
    server = folder / "gdb.sock"
    line = f"gdbserver unix:{server},server=on,wait=off"
    guest.monitor.execute("human-monitor-command", {"command-line": line})
    script = folder / "commands.gdb"
    script.write_text("\n".join(commands(modules, kernel, server, stop, subjects)) + "\n")
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
        raise HostError("no-assembler", f"`as` cannot assemble the kernel's symbols: {done.stderr}")
    return symbols


def _wait(argv: list[str]) -> None:
    click.echo(f"{argv[0]} is not installed here. The guest waits for:\n  {shlex.join(argv)}")
    click.pause("Press a key when you are done; the guest then ends.")


@contextmanager
def _ctrl_c_is_for_gdb() -> Iterator[None]:
    # Not SIG_IGN, which gdb would inherit.
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
