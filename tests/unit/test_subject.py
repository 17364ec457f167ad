"""A module's file: what is read of it, what is refused and in which words."""

import gzip
import lzma
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freeonce.errors import Obstacle, SubjectError, UsageError
from freeonce.subject.families import Wrapper
from freeonce.subject.module import check_release, parse_module, read_module
from freeonce.subject.packed import read_packed
from freeonce.subject.redirect import redirect
from tests.unit.modules import RELEASE, compiled, signed


def wrapper(function: str, crc: int = 0xABCD) -> Wrapper:
    return Wrapper(1, function, f"freeonce_wrap_{function}", crc, "slab", "acquire")


WRAPPERS = {name: wrapper(name) for name in ("kfree", "kmalloc_trace", "vmalloc")}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modules")
    return compiled(folder, depends="mii,usb-core", before="crypto-x y")


def test_a_module_tells_what_it_is(sample: Path) -> None:
    module = read_module(sample)
    assert (module.name, module.release) == ("sample", RELEASE)
    assert module.depends == ("mii", "usb-core")
    # What is to come after it (post) is nothing that it needs.
    assert module.before == ("crypto-x", "y")
    assert sorted(module.undefined) == ["_printk", "kfree", "kmalloc_trace", "kmem_cache_create"]
    assert module.has_debug_info
    names = {module.elf.section_names[index] for index in module.text_sections()}
    assert names == {".text", ".init.text"}


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, zstd], ids=["gz", "xz", "zst"])
def test_packed_modules_are_the_same(pack: "type", sample: Path, tmp_path: Path) -> None:
    data = sample.read_bytes()
    packed = tmp_path / "sample.ko.packed"
    packed.write_bytes(pack(data))
    assert read_module(packed).elf.data == data
    # What only grows when it is unpacked must not take the machine's memory.
    packed.write_bytes(pack(bytes(3 << 20)))
    with pytest.raises(SubjectError) as error:
        read_packed(packed, limit=1 << 20)
    assert error.value.reason is Obstacle.TOO_BIG
    packed.write_bytes(pack(data)[:-20])
    with pytest.raises(SubjectError) as error:
        read_module(packed)
    assert error.value.reason is Obstacle.DAMAGED


def refused(path: Path, data: bytes) -> SubjectError:
    path.write_bytes(data)
    with pytest.raises(SubjectError) as error:
        read_module(path)
    assert str(path) in str(error.value)
    return error.value


def test_what_is_no_module_is_refused_by_what_it_is(sample: Path, tmp_path: Path) -> None:
    path, data = tmp_path / "it.ko", sample.read_bytes()
    assert refused(path, b"#!/bin/sh\n").reason is Obstacle.NO_ELF
    assert refused(path, b"").reason is Obstacle.NO_ELF
    assert refused(path, Path("/bin/true").read_bytes()).reason is Obstacle.NOT_A_MODULE
    arm = bytearray(data)
    arm[18:20] = (183).to_bytes(2, "little")
    assert refused(path, bytes(arm)).reason is Obstacle.WRONG_MACHINE
    assert "183" in str(refused(path, bytes(arm)))
    assert refused(path, data[:-1]).reason is Obstacle.DAMAGED
    subprocess.run(["strip", "--strip-all", "-o", path, sample], check=True)
    assert refused(path, path.read_bytes()).reason is Obstacle.NO_SYMBOLS
    (tmp_path / "object.c").write_text("void f(void) {}")
    subprocess.run(["gcc", "-c", tmp_path / "object.c", "-o", path], check=True)
    assert refused(path, path.read_bytes()).reason is Obstacle.NOT_A_MODULE
    with pytest.raises(UsageError, match="nothing-here"):
        read_module(tmp_path / "nothing-here.ko")


def test_a_module_for_another_kernel_names_both(sample: Path) -> None:
    module = read_module(sample)
    check_release(module, RELEASE)
    with pytest.raises(SubjectError, match=rf"{RELEASE}.* 6\.12\.3") as error:
        check_release(module, "6.12.3")
    assert error.value.reason is Obstacle.WRONG_KERNEL


def test_only_undefined_symbols_with_a_wrapper_change(sample: Path, tmp_path: Path) -> None:
    before = read_module(sample)
    done = redirect(before, WRAPPERS)
    assert set(done.audited) == {"kfree", "kmalloc_trace"}
    (other,) = done.unaudited
    assert (other.function, other.calls) == ("kmem_cache_create", 1)
    renamed = {"kfree", "kmalloc_trace"}
    wanted = [f"freeonce_wrap_{one}" if one in renamed else one for one in before.undefined]
    assert list(done.module.undefined) == wanted
    # The places of findings are looked up in the file as it was.
    assert done.module.elf.section_names == before.elf.section_names
    for field in ("info", "section", "value", "size"):
        assert (done.module.elf.symbols[field] == before.elf.symbols[field]).all()
    for index, name in enumerate(before.elf.section_names):
        if not name.startswith((".debug", ".rela.debug", ".strtab", ".symtab", "__versions")):
            assert done.module.elf.content(index) == before.elf.content(index), name


def test_binutils_reads_what_was_redirected(sample: Path, tmp_path: Path) -> None:
    """An independent reader: relocations lead to the wrappers, also where no call is."""
    path = tmp_path / "redirected.ko"
    path.write_bytes(redirect(read_module(sample), WRAPPERS).data)
    said = subprocess.run(
        ["readelf", "--all", "--wide", path], capture_output=True, text=True, check=True
    )
    assert said.stderr == ""
    calls = [line for line in said.stdout.splitlines() if "R_X86_64" in line]
    assert sum("freeonce_wrap_kfree" in line for line in calls) == 2
    assert sum("freeonce_wrap_kmalloc_trace" in line for line in calls) == 1
    assert not any(" kfree" in line for line in said.stdout.splitlines())


def test_the_wrappers_checksum_stands_in_versions(sample: Path) -> None:
    done = redirect(read_module(sample), WRAPPERS)
    entries = done.module.elf.named("__versions")
    said = {
        entries[at + 8 : at + 64].rstrip(b"\0"): int.from_bytes(entries[at : at + 8], "little")
        for at in range(0, len(entries), 64)
    }
    assert said == {
        b"module_layout": 0x11,
        b"freeonce_wrap_kfree": 0xABCD,
        b"freeonce_wrap_kmalloc_trace": 0xABCD,
    }


def test_a_signature_goes_with_the_redirect(sample: Path) -> None:
    plain = sample.read_bytes()
    with_signature = parse_module(signed(plain), sample)
    assert redirect(with_signature, WRAPPERS).data == redirect(read_module(sample), WRAPPERS).data
    assert b"signature appended" not in redirect(with_signature, WRAPPERS).data


def test_without_a_wrapper_nothing_is_audited(sample: Path) -> None:
    done = redirect(read_module(sample), {})
    assert done.audited == ()
    assert {one.function for one in done.unaudited} == {"kmalloc_trace", "kmem_cache_create"}
    assert done.module.undefined == read_module(sample).undefined


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_module_is_read_or_refused(sample: Path, data: st.DataObject) -> None:
    """Nothing but SubjectError comes out, and what is read can be redirected or is refused."""
    raw = bytearray(sample.read_bytes())
    table = int.from_bytes(raw[40:48], "little")
    for _ in range(data.draw(st.integers(1, 8))):
        # Half of the changes in the headers, where they hurt.
        last = len(raw) - 1
        places = st.integers(0, 63) | st.integers(table, last) | st.integers(0, last)
        raw[data.draw(places)] = data.draw(st.integers(0, 255))
    cut = data.draw(st.none() | st.integers(0, len(raw)))
    with suppress(SubjectError):
        redirect(parse_module(bytes(raw[:cut]), sample), WRAPPERS)


def test_names_in_a_file_cannot_speak_to_a_terminal(sample: Path) -> None:
    data = sample.read_bytes().replace(b"kmem_cache_create", b"\x1b[2Jx\ncache_alloc")
    done = redirect(parse_module(data, sample), WRAPPERS)
    name = done.unaudited[0].function
    assert name.isprintable()
    assert name.endswith("cache_alloc")
