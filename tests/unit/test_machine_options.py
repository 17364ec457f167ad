"""What a user may choose of the guest's machine: checked, passed on, part of a template's key."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
import pytest
from click.testing import CliRunner

from freeonce.cli.main import VERBS
from freeonce.cli.options import Seconds, machine_options
from freeonce.errors import UsageError
from freeonce.machine.argv import MIB, kernel_command_line, qemu_argv
from freeonce.machine.template import origin
from freeonce.project.accelerator import Accelerator
from freeonce.project.host import Qemu
from freeonce.project.image import Image
from freeonce.project.machine import Machine, split_arguments
from freeonce.project.setting import Setting

FULL = Machine(512, 3, "nokaslr slub_debug=P", ("-device", "nvme,drive=d"))


@click.command()
@click.argument("name")
@machine_options
@click.pass_context
def verb(_: click.Context, /, *, name: str, machine: Machine) -> None:
    click.echo(f"{name}: {machine!r}")


def asked(*arguments: str) -> Any:
    return CliRunner().invoke(verb, ["name", *arguments], catch_exceptions=True)


def test_without_a_word_it_is_the_usual_machine() -> None:
    assert asked().output == f"name: {Machine()!r}\n"


def test_options_are_put_together() -> None:
    arguments = ["--memory", "512", "--cpus", "3", "--append", "nokaslr"]
    arguments += ["--append", "slub_debug=P", "--qemu-arg", "-device nvme,drive=d"]
    assert asked(*arguments).output == f"name: {FULL!r}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--memory", "100"), "--memory 100: from 160 to 2560 MiB"),
        (("--memory", "4096"), "--memory 4096: from 160 to 2560 MiB"),
        (("--cpus", "0"), "--cpus 0: from 1 to 64"),
        (("--append", "console=ttyS1"), "console= is set by freeonce itself"),
        (("--append", "quiet\nx"), "one line of printable characters"),
        (("--append", "-- sh"), "after -- are for init"),
        (("--append", "x" * 1025), "more than 1024 bytes"),
        (("--qemu-arg", "-m 1G"), "-m: use --memory"),
        (("--qemu-arg=--smp", "--qemu-arg", "4"), "--smp: use --cpus"),
        (("--qemu-arg", "-S"), "-S: freeonce sets it itself"),
        (("--qemu-arg", "'half"), "--qemu-arg: No closing quotation"),
    ],
)
def test_what_could_not_work_is_refused_with_what_to_do(
    arguments: tuple[str, ...], words: str
) -> None:
    done = asked(*arguments)
    assert isinstance(done.exception, UsageError)
    assert words in str(done.exception)


def test_a_text_is_split_as_by_a_shell() -> None:
    assert split_arguments(("-device 'a b'", "-x")) == ("-device", "a b", "-x")


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    for name in ("boot", "cpio", "qemu", "manifest"):
        (tmp_path / name).write_text(name)
    image = SimpleNamespace(
        boot=tmp_path / "boot",
        initramfs=tmp_path / "cpio",
        manifest=tmp_path / "manifest",
        release="6.1",
        rust="1.85",
    )
    qemu = Qemu(str(tmp_path / "qemu"), "7.2.22")
    return Setting(cast(Image, image), qemu, Accelerator("tcg", "for a test"))


def test_the_machine_is_made_so(setting: Setting) -> None:
    config = replace(setting, machine=FULL).config()
    argv = qemu_argv(config, Path("/tmp/run"))
    assert config.memory == 512 * MIB
    assert argv[argv.index("-smp") + 1] == "3"
    assert argv[-2:] == ("-device", "nvme,drive=d")
    assert kernel_command_line(config).endswith(" nokaslr slub_debug=P")


@pytest.mark.parametrize(
    "other",
    [
        Machine(memory=512),
        Machine(cpus=3),
        Machine(append="nokaslr"),
        Machine(qemu=("-device", "nvme")),
    ],
)
def test_each_option_is_in_a_templates_key(setting: Setting, other: Machine) -> None:
    """A clone of another machine would be another machine."""

    def key(machine: Machine) -> str:
        config = replace(setting, machine=machine).config()
        return origin(config, setting.image.manifest, setting.qemu).key

    assert key(other) != key(Machine())
    assert key(other) == key(other)


def test_reports_tell_of_another_machine_than_the_usual(setting: Setting) -> None:
    assert "machine" not in setting.document()
    told = replace(setting, machine=FULL).document()["machine"]
    for part in ("512 MiB", "3 CPUs", "'nokaslr slub_debug=P'", "'-device nvme,drive=d'"):
        assert part in told


def test_a_guest_without_svm_is_not_said_to_have_it(setting: Setting) -> None:
    """KVM on Intel: scenarios that need SVM are unsupported there, not faulty."""
    other = replace(setting, accelerator=Accelerator("kvm", "", svm=False))
    assert other.config().features == frozenset()
    assert "svm" in setting.config().features


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "0", "soon"])
def test_what_is_no_time_to_wait_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Seconds(min=1).convert(text, None, None)


def test_a_time_to_wait_is_taken_as_it_is() -> None:
    assert Seconds(min=1).convert("2.5", None, None) == 2.5


@pytest.mark.parametrize("name", ["run", "audit", "lane"])
def test_no_verb_waits_for_nan_seconds(name: str) -> None:
    command = getattr(import_module(f"freeonce.cli.{name}"), VERBS[name])
    ended = CliRunner().invoke(command, ["--timeout", "nan", "name"])
    assert (ended.exit_code, "no number of seconds" in ended.output) == (2, True)
