"""What looks like an acquisition and is in no family: the table says so, and with a reason."""

import re
import tomllib
from pathlib import Path

import pytest

from freeonce.subject.module import read_module
from freeonce.subject.unaudited import look_of, table, unaudited
from tests.unit.modules import compiled

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = tomllib.loads((ROOT / "guest/instrument/families/families.toml").read_text())
PROTOTYPE = re.compile(r"(\w+)\(")


def test_each_entry_has_a_reason_and_decides_something() -> None:
    assert all(one.because for one in table())
    # What comes first decides: nothing stands behind what is known by name alone.
    assert table()[-1].because == "nothing is known of it"


def acquiring() -> list[str]:
    lines = [line for family in FAMILIES.values() for line in family["acquire"]]
    names = [PROTOTYPE.search(line["is"]) for line in lines if "role" not in line]
    return [name[1] for name in names if name]


@pytest.mark.parametrize("name", acquiring())
def test_what_a_family_has_would_be_missed_without_it(name: str) -> None:
    """The table recognizes each acquisition that we know, so that it may know others, too."""
    look = look_of(name)
    assert look is not None
    assert look.what


@pytest.mark.parametrize(
    "name",
    [
        *("printk", "kmalloc_caches", "vmalloc_base", "ktime_get", "ktime_get_real_ts64"),
        *("unregister_netdev", "misc_deregister", "__SCT__might_resched", "param_ops_int"),
        *(
            "kmalloc_size_roundup",
            "memcpy",
            "kfree",
            "mutex_lock",
            "get_random_bytes",
            "dev_get_tstats64",
        ),
    ],
)
def test_what_acquires_nothing_is_not_listed(name: str) -> None:
    look = look_of(name)
    assert look is None or not look.what


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("alloc_workqueue", "work queue"),
        ("misc_register", "device, class or driver"),
        ("dma_alloc_attrs", "DMA memory or mapping"),
        ("register_netdevice_notifier", "notifier"),
        ("crypto_alloc_shash", "cipher"),
        ("devm_kmalloc", "managed resource"),
        ("__devm_alloc_percpu", "managed resource"),
        ("page_frag_alloc_align", "page fragment, or its pool"),
        ("vma_alloc_folio_noprof", "pages"),
        ("sock_kmalloc", "memory"),
        ("frobnicator_alloc", "something, by its name"),
    ],
)
def test_what_acquires_is_named(name: str, what: str) -> None:
    look = look_of(name)
    assert look is not None
    assert look.what == what


def test_calls_are_counted_by_the_code_that_names_them(tmp_path: Path) -> None:
    """The sample calls kmem_cache_create once; kmalloc_trace too, which has a wrapper here."""
    module = read_module(compiled(tmp_path))
    (one,) = unaudited(module, {"kmalloc_trace"})
    assert (one.function, one.calls) == ("kmem_cache_create", 1)
    assert {one.function for one in unaudited(module, ())} == {"kmem_cache_create", "kmalloc_trace"}
