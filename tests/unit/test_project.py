"""A project of one's own: what `freeonce new` writes, and what `freeonce.toml` may say."""

import json
import os
import re
import shutil
import tomllib
from pathlib import Path

import click
import pytest

from freeonce.cli import main
from freeonce.cli.new import new
from freeonce.errors import HostError, UsageError
from freeonce.project import chosen
from freeonce.project.begin import FILES, PARTS, begin
from freeonce.project.chosen import crate_of
from freeonce.project.crate import find_cargo
from freeonce.project.file import find_project, kernel_from, load_project


@pytest.fixture(autouse=True)
def _forget() -> None:
    chosen.project.cache_clear()


@pytest.mark.parametrize("parts", [PARTS, ("rust",), ("c",), ("module",), ("c", "module")])
def test_a_new_project_is_one_that_loads(parts: tuple[str, ...], tmp_path: Path) -> None:
    written = list(begin(tmp_path / "mine", parts))
    project = load_project(tmp_path / "mine/freeonce.toml")
    assert project.kernels == ("cloud",)
    assert (project.scenarios is not None) == ({"rust", "c"} & set(parts) != set())
    assert ("targets" in project.defaults["audit"]) == ("module" in parts)
    suffixes = {file.suffix for file in written if file.parent.name == "scenarios"}
    assert suffixes == {{"rust": ".rs", "c": ".c"}[one] for one in parts if one != "module"}
    readme = (tmp_path / "mine/README.md").read_text()
    assert readme.startswith("# mine\n")
    assert len(readme.splitlines()) <= 12
    assert (
        "${{ hashFiles('freeonce.toml') }}"
        in (tmp_path / "mine/.github/workflows/freeonce.yml").read_text()
    )


def test_a_new_project_takes_nothing_away(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(UsageError, match=r"README\.md is there already"):
        list(begin(tmp_path, PARTS))
    assert [one.name for one in tmp_path.iterdir()] == ["README.md"]


def test_without_an_option_it_has_everything(tmp_path: Path) -> None:
    new.main([str(tmp_path / "all")], standalone_mode=False)
    new.main([str(tmp_path / "c"), "--c"], standalone_mode=False)
    assert {one.name for one in (tmp_path / "all/scenarios").iterdir()} == {"owner.rs", "buffer.c"}
    assert not (tmp_path / "c/module").exists()


def test_a_project_is_found_from_below(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    assert find_project(tmp_path / "a/b") is None
    (tmp_path / "freeonce.toml").touch()
    assert find_project(tmp_path / "a/b") == tmp_path / "freeonce.toml"


WHOLE = """
kernels = ["host", "cloud"]

[machine]
memory = 512
cpus = 3
append = "slub_debug=P"
qemu = ["-device virtio-rng-pci"]

[audit]
targets = ["module", "zram", "build/a.ko"]
params = "note.size=3"
exercises = ["exercises"]
commands = ["true"]
files = ["tool"]
suppressions = ["known.toml"]
"""


def whole(folder: Path) -> Path:
    for name in ("module", "exercises", "build"):
        (folder / name).mkdir()
    (folder / "known.toml").touch()
    (folder / "freeonce.toml").write_text(WHOLE)
    return folder / "freeonce.toml"


def test_all_that_it_may_say_becomes_the_options_of_the_verbs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = whole(tmp_path)
    monkeypatch.chdir(tmp_path / "build")
    project = load_project(file)
    machine = {
        "memory": 512,
        "cpus": 3,
        "append": ["slub_debug=P"],
        "qemu_arg": ["-device virtio-rng-pci"],
    }
    assert project.kernels == ("host", "cloud")
    assert project.scenarios is None
    assert project.defaults["run"] == machine
    assert project.defaults["audit"] == {
        **machine,
        "targets": ["../module", "zram", "../build/a.ko"],
        "params": "note.size=3",
        "exercises": ["../exercises"],
        "commands": ["true"],
        "carried": ["../tool"],
        "suppress_files": ["../known.toml"],
    }


def test_a_flag_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = whole(tmp_path)
    monkeypatch.chdir(tmp_path)
    given: dict[str, object] = {}
    command = main.verbs.get_command(click.Context(main.verbs), "audit")
    assert command is not None
    monkeypatch.setattr(command, "callback", lambda *_, **options: given.update(options))
    defaults = load_project(file).defaults
    for words in (["audit"], ["audit", "--memory", "300", "-c", "false", "brd"]):
        main.verbs.main(words, standalone_mode=False, default_map=defaults)
        if words == ["audit"]:
            assert given["targets"] == ("./module", "zram", "build/a.ko")
            assert (given["memory"], given["commands"]) == (512, ("true",))
        else:
            assert given["targets"] == ("brd",)
            assert (given["memory"], given["commands"]) == (300, ("false",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kernels = []\n", r":1: kernels: .*at least 1"),
        ("kernels = 'cloud'\n", r":1: kernels: .*list"),
        ("\nkernel = ['cloud']\n", r":2: kernel: .*not permitted"),
        ("[machine]\ncpus = 2\nmemory = 'much'\n", r":3: machine\.memory: .*integer"),
        ("[machine]\ncpus = 2\nmemory = 4\n", r":1: machine: --memory 4: from 160"),
        ("[audit]\n\nexercises = ['nowhere']\n", r":3: audit\.exercises: there is no nowhere in"),
        ("[audit]\nsuppressions = ['x']\n", r":2: audit\.suppressions: there is no x in the"),
        ("[machne]\ncpus = 2\n", r":1: machne: .*not permitted"),
        ("kernels = ]\n", r": .*line 1"),
        ('\nmachine = { cpus = 2, memory = "much" }\n', ":2: machine.memory: "),
        ('kernels = ["cloud"]\nmachine.memory = "much"\n', ":2: machine.memory: "),
        (
            "[families.misc]\nacquire = []\nrelease = []\n",
            ":2: families.misc.acquire: .*at least 1",
        ),
        (
            "[families.misc]\nacquire = [{ name = 'x' }]\n",
            ":2: families.misc.acquire.*is: Field req",
        ),
        ('\n"machine"."memory" = "much"\n', ":2: machine.memory: "),
        ('[ machine ] # ours\ncpus = 2\nmemory = "much"\n', ":3: machine.memory: "),
        ('\n[machine]\nmemori = 1\nmachine = { memory = "no" }\n', ":3: machine.memori: "),
        ("\nmachine = { memori = 1 }\n", ":2: machine.memori: "),
    ],
)
def test_an_error_in_it_names_line_and_key(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freeonce.toml").write_text(text)
    with pytest.raises(UsageError) as error:
        load_project(tmp_path / "freeonce.toml")
    assert re.search(f"^freeonce.toml{said}", str(error.value)), str(error.value)


def test_every_key_of_the_page_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/your-project.md").read_text()
    blocks = re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)
    assert len(blocks) == 3  # one is a package's
    blocks[0] += blocks.pop()
    tables = tomllib.loads(blocks[0])
    for name in [*tables["audit"]["exercises"], *tables["audit"]["suppressions"]]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("module", "hypervisor"):
        (tmp_path / name).mkdir()
    (tmp_path / "freeonce.toml").write_text(blocks[0])
    project = load_project(tmp_path / "freeonce.toml")
    assert project.folder == tmp_path
    assert os.path.relpath(tmp_path / "module") in project.defaults["audit"]["targets"]


def test_one_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "freeonce.toml").write_text("a = " + "[" * 5000)
    with pytest.raises(UsageError, match=r"freeonce\.toml: maximum recursion depth"):
        load_project(tmp_path / "freeonce.toml")


@pytest.mark.parametrize("word", ["it's", "-C", "a b", "$(id)", "a;b"])
def test_what_is_no_kernel_is_refused(word: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no kernel"):
        kernel_from(word, tmp_path)


def test_a_tree_of_sources_is_found_from_the_projects_folder(tmp_path: Path) -> None:
    assert kernel_from("../linux", tmp_path) == str(tmp_path.parent / "linux")
    assert kernel_from("linux-image-6.12.9-amd64", tmp_path) == "linux-image-6.12.9-amd64"


def test_what_an_installer_compiled_is_no_file_of_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(FILES, tmp_path / "installed")
    for part in PARTS:
        compiled = tmp_path / "installed" / part / "tests/__pycache__"
        compiled.mkdir(parents=True)
        (compiled / "test.cpython-311.pyc").write_bytes(b"\xa7\r\r\n")
    monkeypatch.setattr("freeonce.project.begin.FILES", tmp_path / "installed")
    made = list(begin(tmp_path / "mine", PARTS))
    assert made
    assert not [one for one in made if "__pycache__" in one.parts]


def cargo(folder: Path, body: str) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / "cargo"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return program


def with_crate(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/Cargo.toml").touch()
    (tmp_path / "freeonce.toml").write_text('crate = "mine"\n')
    return tmp_path / "freeonce.toml"


def test_a_crate_needs_cargo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = load_project(with_crate(tmp_path))
    monkeypatch.delenv("CARGO", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        HostError, match="a crate needs cargo, which is not installed; install it"
    ) as told:
        crate_of(project)
    assert told.value.reason == "no-cargo"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo cargo 1.84.1", "is older than 1.85"),
        ("echo cargo 0.66.0", "is older than 1.85"),
        ("echo whatever", "does not answer --version"),
        ("exit 1", "does not answer --version"),
    ],
)
def test_an_old_cargo_is_refused(
    body: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARGO", str(cargo(tmp_path / "bin", body)))
    with pytest.raises(HostError, match=words):
        find_cargo()


def test_what_cargo_cannot_read_is_told_in_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (
        'case $1 in --version) echo cargo 1.90.0 ;; *) echo "no such crate" >&2; exit 101 ;; esac'
    )
    monkeypatch.setenv("CARGO", str(cargo(tmp_path / "bin", body)))
    crate = crate_of(load_project(with_crate(tmp_path)))
    assert crate is not None
    with pytest.raises(UsageError, match=r"cargo metadata in .*mine:\nno such crate"):
        crate.digest()


def test_a_folder_without_a_package_is_no_crate(tmp_path: Path) -> None:
    file = with_crate(tmp_path)
    (tmp_path / "mine/Cargo.toml").unlink()
    with pytest.raises(UsageError, match=r"crate: .*mine has no Cargo\.toml"):
        crate_of(load_project(file))


def test_a_crate_is_known_by_all_that_it_names_by_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "lib.rs").write_text("one")
    packages = [
        {"source": None, "manifest_path": f"{library}/Cargo.toml"},
        {"source": "registry", "manifest_path": "/nowhere/Cargo.toml"},
    ]
    told = json.dumps({"packages": packages, "workspace_root": str(tmp_path / "mine")})
    body = f"case $1 in --version) echo cargo 1.90.0 ;; *) echo '{told}' ;; esac"
    monkeypatch.setenv("CARGO", str(cargo(tmp_path / "bin", body)))
    crate = crate_of(load_project(with_crate(tmp_path)))
    assert crate is not None
    seen = [crate.digest()]
    (library / "target").mkdir()
    (library / "target/CACHEDIR.TAG").touch()
    (library / "target/made").touch()
    assert crate.digest() == seen[0]
    for file in (library / "lib.rs", tmp_path / "mine/Cargo.lock"):
        file.write_text("two")
        seen.append(crate.digest())
    (tmp_path / "mine/.cargo").mkdir()
    (tmp_path / "mine/.cargo/config.toml").write_text("[source]")
    seen.append(crate.digest())
    assert len({*seen}) == 4
