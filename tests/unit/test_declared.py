"""What declarations of scenarios may say: the lists of C and Rust, and that a compiler refuses."""

import re
import subprocess
from pathlib import Path

import pytest

from freeonce.audit.model import Rule
from freeonce.audit.rules import KIND_NAMES
from freeonce.errors import Loss

ROOT = Path(__file__).resolve().parents[2]
IN_C = (ROOT / "guest/specimens/declared.h").read_text()
IN_RUST = (ROOT / "guest/rust/src/declared.rs").read_text()

WORDS = {
    "RULE": [str(one) for one in Rule],
    "KIND": list(KIND_NAMES.values()),
    "LOSS": [str(one) for one in Loss],
}


@pytest.mark.parametrize("what", WORDS)
def test_both_languages_know_the_harness_words(what: str) -> None:
    plural = {"RULE": "RULES", "KIND": "KINDS", "LOSS": "LOSSES"}[what]
    macro = re.search(rf"#define IS_{what}\(W\)(.*?)\n\n", IN_C, re.S)
    table = re.search(rf"const {plural}: &\[&str\] = &\[(.*?)\];", IN_RUST, re.S)
    assert macro
    assert table
    assert sorted(re.findall(r'SAME_WORD\(W, "(.*?)"\)', macro[1])) == sorted(WORDS[what])
    assert sorted(re.findall('"(.*?)"', table[1])) == sorted(WORDS[what])


DECLARATION = """
#include "declared.h"

const char *const rule = DECLARED_RULE({rule});
const char *const kind = DECLARED_KIND({kind});
const char *const loss = DECLARED_LOSS({loss});
const char *const name = DECLARED_NAME({name});
const int cpus = DECLARED_CPUS({cpus});
"""
RIGHT = {
    "rule": '"leak"',
    "kind": '"pool"',
    "loss": '"panic"',
    "name": '"mine/' + "x" * 75 + '"',
    "cpus": "64",
}


def compile_c(folder: Path, words: dict[str, str]) -> str:
    """What gcc says of declarations; nothing when it takes them."""
    file = folder / "mine.c"
    file.write_text(DECLARATION.format(**words))
    command = ["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    done = subprocess.run(
        [*command, f"-I{ROOT}/guest/specimens", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr


def test_c_takes_what_there_is(tmp_path: Path) -> None:
    assert compile_c(tmp_path, RIGHT) == ""


@pytest.mark.parametrize(
    ("wrong", "line", "said"),
    [
        ({"rule": '"leek"'}, 4, 'there is no rule \\"leek\\"'),
        ({"kind": '"pol"'}, 5, 'there is no kind \\"pol\\"'),
        ({"loss": '"boredom"'}, 6, 'no guest is lost by \\"boredom\\"'),
        ({"name": '"mine/' + "x" * 76 + '"'}, 7, "the name of a scenario has 1 to 80 bytes"),
        ({"name": '""'}, 7, "the name of a scenario has 1 to 80 bytes"),
        ({"cpus": "0"}, 8, "a scenario needs 1 to 64 CPUs"),
        ({"cpus": "65"}, 8, "a scenario needs 1 to 64 CPUs"),
    ],
)
def test_c_refuses_the_rest_with_its_line(
    wrong: dict[str, str], line: int, said: str, tmp_path: Path
) -> None:
    refused = compile_c(tmp_path, {**RIGHT, **wrong})
    assert f"mine.c:{line}:" in refused
    assert said in refused


IN_A_CRATE = """
#[path = "{declared}"]
#[allow(dead_code)]
mod declared;

const _: () = declared::rule({rule});
const _: () = declared::kind({kind});
const _: () = declared::loss({loss});
const _: () = declared::name({name});
const _: () = declared::cpus({cpus});
"""


def compile_rust(folder: Path, words: dict[str, str]) -> str:
    file = folder / "mine.rs"
    declared = ROOT / "guest/rust/src/declared.rs"
    literals = {name: f"c{word}" if '"' in word else word for name, word in words.items()}
    file.write_text(IN_A_CRATE.format(declared=declared, **literals))
    command = ["rustc", "--edition", "2024", "--crate-type", "rlib", "--emit", "metadata"]
    done = subprocess.run(
        [*command, "--out-dir", str(folder), str(file)], capture_output=True, text=True, check=False
    )
    return done.stderr


@pytest.mark.parametrize(
    ("wrong", "line", "said"),
    [
        ({}, 0, ""),
        ({"rule": '"leek"'}, 6, "there is no such rule"),
        ({"kind": '"pol"'}, 7, "there is no such kind"),
        ({"loss": '"boredom"'}, 8, "no guest is lost like this"),
        ({"name": '"mine/' + "x" * 76 + '"'}, 9, "the name of a scenario has 1 to 80 bytes"),
        ({"cpus": "0"}, 10, "a scenario needs 1 to 64 CPUs"),
        ({"cpus": "65"}, 10, "a scenario needs 1 to 64 CPUs"),
    ],
)
def test_rust_does_likewise(wrong: dict[str, str], line: int, said: str, tmp_path: Path) -> None:
    refused = compile_rust(tmp_path, {**RIGHT, **wrong})
    if not wrong:
        assert refused == ""
    else:
        assert f"mine.rs:{line}:" in refused
        assert said in refused
