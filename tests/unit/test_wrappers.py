"""The table of families, and the wrappers that images/wrappers.py makes of it."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from freeonce.evidence.ledger import Family
from freeonce.subject.families import parse_families

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "images/wrappers.py"
FOLDER = ROOT / "guest/instrument/families"
TABLE = FOLDER / "families.toml"
LINES = tomllib.loads(TABLE.read_text())

SMALL = """
[slab]
about = "Memory."
number = 3
released_by = ["slab"]
null_release = true
acquire = [
  { is = "void *take(size_t size, gfp_t flags)", size = "size" },
  { is = "void *take_other(size_t size)", size = "size" },
]
release = [
  { is = "void give(const void *object)" },
]
"""


def symvers(folder: Path, name: str, *symbols: str) -> Path:
    """A Module.symvers with these; the checksum of the n-th is n."""
    path = folder / name
    rows = (
        f"0x{n:08x}\t{symbol}\tvmlinux\tEXPORT_SYMBOL_GPL\t\n" for n, symbol in enumerate(symbols)
    )
    path.write_text("".join(rows))
    return path


def made(folder: Path, table: str, *symbols: str) -> tuple[str, str]:
    """wrappers.c and functions.h for a kernel with these symbols."""
    path = folder / "table.toml"
    path.write_text(table)
    kernel = symvers(folder, "kernel", *symbols)
    subprocess.run([sys.executable, SCRIPT, "generate", path, kernel, folder], check=True)
    return (folder / "wrappers.c").read_text(), (folder / "functions.h").read_text()


def test_families_are_those_of_the_ledger() -> None:
    assert {name.upper(): keys["number"] for name, keys in LINES.items()} == {
        member.name: member.value for member in Family if member >= Family.SLAB
    }
    for keys in LINES.values():
        assert set(keys["released_by"]) <= set(LINES)


@pytest.mark.parametrize("family", LINES)
def test_each_family_is_released_by_its_own_functions(family: str) -> None:
    assert family in LINES[family]["released_by"]
    assert LINES[family]["release"]


def test_what_is_written_by_hand_is_there() -> None:
    hand = [
        line
        for keys in LINES.values()
        for line in (*keys["acquire"], *keys["release"])
        if "hand" in line
    ]
    assert hand
    for line in hand:
        name = line["is"].split("(")[0].split()[-1].lstrip("*")
        source = (FOLDER / line["hand"]).read_text()
        assert f"WRAP_{name.upper()}" in source or f"freeonce_wrap_{name}" in source


def test_a_plain_function_takes_a_line(tmp_path: Path) -> None:
    wrappers, _ = made(tmp_path, SMALL, "take", "give")
    assert "void *freeonce_wrap_take(size_t size, gfp_t flags)" in wrappers.replace(
        "* free", "*free"
    )
    assert "EXPORT_SYMBOL_GPL(freeonce_wrap_take);" in wrappers
    assert "may_acquire(&take, flags)" in wrappers
    assert "(give)(object);" in wrappers


def test_a_guarded_cache_is_asked_before_the_kernel(tmp_path: Path) -> None:
    table = SMALL.replace('size = "size" }', 'size = "size", guarded = "size, flags, 0" }', 1)
    wrappers, _ = made(tmp_path, table, "take", "give")
    assert "guarded_alloc(&take, size, flags, 0) ?: (take)(size, flags);" in wrappers


def test_what_is_copied_is_known_by_its_size_before_and_by_its_address_after(
    tmp_path: Path,
) -> None:
    keys = 'size = "size", copied = "flags", passes = "!size" }'
    wrappers, _ = made(tmp_path, SMALL.replace('size = "size" }', keys, 1), "take", "give")
    steps = [
        "return result;",
        "take.size = size;",
        "result = guarded_copy(&take, result, flags);",
        "take.address = (unsigned long)(result);",
        "acquired(&take);",
    ]
    places = [wrappers.index(step) for step in steps]
    assert places == sorted(places)


def test_what_the_kernel_does_not_export_has_no_wrapper(tmp_path: Path) -> None:
    wrappers, functions = made(tmp_path, SMALL, "take", "give")
    assert "take_other" not in wrappers
    # Numbers are the same for every kernel.
    assert "FUNCTION_TAKE_OTHER = 2," in functions
    assert "FUNCTION_GIVE = 3," in functions


def test_newer_kernels_have_another_name_for_it(tmp_path: Path) -> None:
    wrappers, _ = made(tmp_path, SMALL, "take_noprof", "give")
    assert "freeonce_wrap_take_noprof(size_t size, gfp_t flags)" in wrappers
    assert "(take_noprof)(size, flags)" in wrappers


def test_a_line_that_is_no_prototype_is_refused(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        made(tmp_path, SMALL.replace("void give(const void *object)", "give"), "give")


def test_the_description_has_the_checksums_of_the_wrappers(tmp_path: Path) -> None:
    made(tmp_path, SMALL, "take_noprof", "give")
    built = symvers(tmp_path, "built", "x", "freeonce_wrap_give", "freeonce_wrap_take_noprof")
    arguments = [tmp_path / "table.toml", tmp_path / "kernel", built, tmp_path / "families.json"]
    subprocess.run([sys.executable, SCRIPT, "describe", *arguments], check=True)
    text = (tmp_path / "families.json").read_text()
    families = parse_families(text)
    assert {name: (one.number, one.crc) for name, one in families.wrappers.items()} == {
        "take_noprof": (1, 2),
        "give": (3, 1),
    }
    assert json.loads(text)["families"] == [
        {"number": 3, "name": "slab", "released_by": ["slab"], "null_release": True}
    ]


def test_what_a_module_of_the_kernel_exports_has_no_wrapper(tmp_path: Path) -> None:
    """The instrument would not load without that module."""
    path = tmp_path / "table.toml"
    path.write_text(SMALL)
    kernel = symvers(tmp_path, "kernel", "take", "give")
    kernel.write_text(kernel.read_text().replace("\tgive\tvmlinux", "\tgive\tdrivers/x/give"))
    subprocess.run([sys.executable, SCRIPT, "generate", path, kernel, tmp_path], check=True)
    wrappers = (tmp_path / "wrappers.c").read_text()
    assert "freeonce_wrap_take(" in wrappers
    assert "freeonce_wrap_give" not in wrappers


def test_a_function_that_returns_an_error_number_has_its_handle_elsewhere(tmp_path: Path) -> None:
    line = '{ is = "int take_at(struct thing *it)", handle = "it", size = "sizeof(*it)", '
    line += 'fails = "-ENOMEM", taken = "!result" },'
    table = SMALL.replace("acquire = [", f"acquire = [\n  {line}")
    wrappers, _ = made(tmp_path, table, "take_at", "give")
    steps = [
        *("int result = -ENOMEM;", "result = (take_at)(it);", "if (!result) {"),
        *("take.address = (unsigned long)(it);", "acquired(&take);"),
        "not_acquired(&take, result);",
    ]
    places = [wrappers.index(step) for step in steps]
    assert places == sorted(places)


def test_the_page_is_made_of_the_table() -> None:
    page = subprocess.run(
        [sys.executable, SCRIPT, "page", TABLE], capture_output=True, text=True, check=True
    ).stdout
    assert (ROOT / "docs/families.md").read_text() == page
    assert all(f"\n## {family}\n\n{LINES[family]['about']}" in page for family in LINES)


def test_each_family_has_a_planted_fault_and_a_clean_twin() -> None:
    modules = tomllib.loads((ROOT / "tests/modules/expected.toml").read_text())
    found = [one for about in modules.values() for one in about["finds"]]
    assert {one["family"] for one in found} - {"none"} == set(LINES)
    clean = " ".join(
        (ROOT / f"tests/modules/{name}.c").read_text()
        for name in modules
        if name.startswith("clean_")
    )
    for family, keys in LINES.items():
        names = [line["is"].split("(")[0].split()[-1].lstrip("*") for line in keys["release"]]
        # Of a cipher's kind a header makes the call that is wrapped.
        names += ["crypto_free_shash"] if family == "cipher" else []
        assert any(f"{name}(" in clean for name in names), family


OWN = """
[families.slab]
includes = ["linux/thing.h"]
acquire = [{ is = "struct thing *thing_get(int which)" }]
release = [{ is = "void thing_put(struct thing *thing)", null = true }]
"""


def with_own(
    folder: Path, own: str, *symbols: str
) -> tuple["subprocess.CompletedProcess[str]", str]:
    """What the script said, and wrappers.c, with the functions of a project."""
    (folder / "table.toml").write_text(SMALL)
    (folder / "freeonce.toml").write_text(own)
    kernel = symvers(folder, "kernel", "take", "give", *symbols)
    words = [
        "generate",
        *map(str, (folder / "table.toml", kernel, folder, folder / "freeonce.toml")),
    ]
    done = subprocess.run(
        [sys.executable, SCRIPT, *words], capture_output=True, text=True, check=False
    )
    made = folder / "wrappers.c"
    return done, made.read_text() if made.exists() else ""


def test_a_project_adds_functions_to_a_family(tmp_path: Path) -> None:
    done, wrappers = with_own(tmp_path, OWN, "thing_get", "thing_put")
    assert done.returncode == 0, done.stderr
    assert "#include <linux/thing.h>\n" in wrappers
    assert "ACQUISITION(FUNCTION_THING_GET, SLAB)" in wrappers
    assert "give.null_is_right = true;" in wrappers.partition("freeonce_wrap_thing_put(")[2]
    assert "freeonce_wrap_take(" in wrappers
    numbers = (tmp_path / "functions.h").read_text()
    assert "FUNCTION_THING_GET = 3," in numbers


@pytest.mark.parametrize(
    ("own", "symbols", "said"),
    [
        (OWN, ("thing_get",), "families.slab: the kernel itself exports no thing_put"),
        (OWN.replace("families.slab", "families.slap"), (), "families.slap: there is no such"),
        (OWN.replace("thing_get", "take"), (), "families.slab: take has a wrapper already"),
        (OWN.replace("thing_put", "thing_get"), ("thing_get",), "thing_get has a wrapper already"),
        (OWN.replace("(int which)", ""), (), "is no prototype"),
    ],
)
def test_what_cannot_be_a_projects_function_is_refused(
    own: str, symbols: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    done, wrappers = with_own(tmp_path, own, *symbols)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert wrappers == ""
