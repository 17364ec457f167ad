"""What builds a subject: what kbuild calls, and not what has the usual name."""

from pathlib import Path

import pytest

from freeonce.errors import HostError
from freeonce.subject.build import Headers
from freeonce.subject.toolchain import tools_of, versions_of


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs, the only ones there are."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    return programs


def program(host: Path, name: str, *said: str) -> None:
    lines = "".join(f"echo '{one}'\n" for one in said)
    (host / name).write_text(f"#!/bin/sh\n{lines}")
    (host / name).chmod(0o755)


MAKE = ("freeonce: CC =  ccache gcc-12", "freeonce: LD = ld")


def versions(host: Path) -> dict[str, str]:
    return versions_of(tools_of(Headers(Path("/headers")), host.parent))


def test_it_is_what_kbuild_calls(host: Path) -> None:
    program(host, "make", *MAKE)
    program(host, "gcc", "gcc 14")
    program(host, "gcc-12", "gcc-12 (Debian) 12.2.0", "Copyright")
    program(host, "ld", "GNU ld 2.40")
    found = {"CC": "ccache gcc-12: gcc-12 (Debian) 12.2.0", "LD": "ld: GNU ld 2.40"}
    assert versions(host) == found
    # An upgrade is seen at once.
    program(host, "gcc-12", "gcc-12 (Debian) 12.3.0")
    found["CC"] = "ccache gcc-12: gcc-12 (Debian) 12.3.0"
    assert versions(host) == found


@pytest.mark.parametrize(
    ("programs", "said"),
    [
        ({}, "make is not installed"),
        ({"make": ("*** no rule",)}, r"make does not tell CC and LD: \*\*\* no rule"),
        ({"make": MAKE}, "gcc-12 is not installed"),
        ({"make": MAKE, "gcc-12": ("12",)}, "ld is not installed"),
    ],
)
def test_what_is_missing_is_named(
    host: Path, programs: dict[str, tuple[str, ...]], said: str
) -> None:
    for name, words in programs.items():
        program(host, name, *words)
    with pytest.raises(HostError, match=said) as caught:
        versions(host)
    assert caught.value.reason == "no-tool"
