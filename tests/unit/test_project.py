"""A project of one's own: what `freeonce new` writes, and what `freeonce.toml` may say."""

import os
import re
import shutil
import tomllib
from pathlib import Path

import click
import pytest

from freeonce.cli import main
from freeonce.cli.new import new
from freeonce.errors import UsageError
from freeonce.project import chosen
from freeonce.project.begin import FILES, PARTS, begin
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
    assert len(blocks) == 1
    tables = tomllib.loads(blocks[0])
    for name in [*tables["audit"]["exercises"], *tables["audit"]["suppressions"]]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "module").mkdir()
    (tmp_path / "freeonce.toml").write_text(blocks[0])
    project = load_project(tmp_path / "freeonce.toml")
    assert project.folder == tmp_path
    assert os.path.relpath(tmp_path / "module") in project.defaults["audit"]["targets"]


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
