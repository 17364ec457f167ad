"""Exercises and the files they need: what is carried, under which name, and what is refused."""

from pathlib import Path

import pytest

from freeonce.errors import UsageError
from freeonce.run.exercise import of_carried, of_commands, of_files, with_libraries
from freeonce.run.prepare import _parameters


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "many" / "data").mkdir(parents=True)
    for name, mode in (("b.sh", 0o755), ("a.sh", 0o755), ("notes", 0o644), ("data/x", 0o755)):
        (tmp_path / "many" / name).write_text("#!/bin/sh\n")
        (tmp_path / "many" / name).chmod(mode)
    (tmp_path / "one.sh").write_text("#!/bin/sh\n")
    return tmp_path


def test_a_file_is_an_exercise_and_a_folder_one_for_each_program(folder: Path) -> None:
    exercises, files = of_files([folder / "one.sh", folder / "many"])
    assert [(one.name, one.command) for one in exercises] == [
        ("one.sh", "/audit/one.sh"),
        ("many/a.sh", "/audit/many/a.sh"),
        ("many/b.sh", "/audit/many/b.sh"),
    ]
    assert {file.path: file.executable for file in files} == {
        "/audit/one.sh": True,
        "/audit/many/a.sh": True,
        "/audit/many/b.sh": True,
        "/audit/many/notes": False,
        "/audit/many/data/x": True,
    }
    assert [one.name for one in of_commands(["ls /"])] == ["ls /"]


def test_a_folder_without_programs_says_what_to_do(folder: Path) -> None:
    (folder / "many" / "data" / "x").chmod(0o644)
    with pytest.raises(UsageError, match=r"chmod \+x"):
        of_files([folder / "many" / "data"])


def test_files_go_where_they_are_told(folder: Path) -> None:
    near, far = of_carried([str(folder / "one.sh"), f"{folder}/one.sh:/etc/there"])
    assert (near.path, far.path) == ("/audit/one.sh", "/etc/there")
    with pytest.raises(UsageError, match="whole path"):
        of_carried([f"{folder}/one.sh:there"])
    with pytest.raises(UsageError, match="cannot read"):
        of_carried([f"{folder}/nothing"])
    with pytest.raises(UsageError, match="no file of this machine"):
        of_carried([":/etc/there"])


def test_programs_bring_their_libraries() -> None:
    program = Path("/bin/ls").resolve()
    files = with_libraries(of_carried([str(program)]), [program])
    names = {Path(file.path).name for file in files}
    assert {"ls", "libc.so.6", "ld-linux-x86-64.so.2"} <= names
    assert all(file.data for file in files)


def test_scripts_need_none(folder: Path) -> None:
    assert len(with_libraries(of_carried([f"{folder}/one.sh"]), [folder / "one.sh"])) == 1


def test_parameters_belong_to_a_module() -> None:
    assert _parameters("a=1 b='x y'", ["m"]) == {"m": ["a=1", "b=x y"]}
    assert _parameters("kvm-amd.nested=1 kvm.x=a.b", ["kvm", "kvm_amd"]) == {
        "kvm_amd": ["nested=1"],
        "kvm": ["x=a.b"],
    }
    assert _parameters("m.a=1", ["m"]) == {"m": ["a=1"]}
    with pytest.raises(UsageError, match="whose is 'nested=1'"):
        _parameters("nested=1", ["kvm", "kvm_amd"])
    with pytest.raises(UsageError, match="quotation"):
        _parameters("a='", ["m"])
