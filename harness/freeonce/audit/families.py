"""What is to know of each family: by whose calls it is released, and what the host can see of it.

The names and numbers are guest/LEDGER.md's; the instrument has its own table for its wrappers.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from freeonce.evidence.ledger import Kind

Numbers = npt.NDArray[np.integer]
Mask = npt.NDArray[np.bool_]

SUBJECTS_FIRST = Kind.SLAB
"""From here on the families of modules that know nothing of freeonce."""


@dataclass(frozen=True)
class Family:
    """A kind of resource.

    `call`: how it is released, in words. `released_by`: the families whose calls are right
    for it. `null_release`: whether its calls take null. `mapped`: whether its pointer lies in
    the kernel's map of all memory.
    """

    call: str
    released_by: frozenset[Kind]
    null_release: bool = True
    mapped: bool = False


def _by(*kinds: Kind) -> frozenset[Kind]:
    return frozenset(kinds)


FAMILIES = {
    Kind.POOL: Family("the pool call", _by(Kind.POOL), null_release=False, mapped=True),
    Kind.CONTIGUOUS: Family(
        "the contiguous call", _by(Kind.CONTIGUOUS), null_release=False, mapped=True
    ),
    Kind.SLAB: Family("kfree()", _by(Kind.SLAB, Kind.KVMALLOC), mapped=True),
    Kind.OBJECT: Family(
        *("kmem_cache_free()", _by(Kind.OBJECT, Kind.SLAB, Kind.KVMALLOC), False), mapped=True
    ),
    Kind.CACHE: Family("kmem_cache_destroy()", _by(Kind.CACHE)),
    Kind.PAGES: Family("free_pages()", _by(Kind.PAGES), null_release=False, mapped=True),
    Kind.VMALLOC: Family("vfree()", _by(Kind.VMALLOC, Kind.KVMALLOC)),
    Kind.KVMALLOC: Family("kvfree() or kfree_rcu()", _by(Kind.KVMALLOC)),
    Kind.PERCPU: Family("free_percpu()", _by(Kind.PERCPU)),
    Kind.MEMPOOL: Family("mempool_destroy()", _by(Kind.MEMPOOL)),
    Kind.IOMAP: Family("iounmap()", _by(Kind.IOMAP)),
    Kind.CIPHER: Family("crypto_free_...()", _by(Kind.CIPHER)),
    Kind.MISC: Family("misc_deregister()", _by(Kind.MISC), null_release=False),
    Kind.SRCU: Family("cleanup_srcu_struct()", _by(Kind.SRCU), null_release=False),
    Kind.REGISTRATION: Family("its unregister call", _by(Kind.REGISTRATION), null_release=False),
}

_RIGHT = np.zeros((256, 256), dtype=np.bool_)
_TAKES_NULL = np.ones(256, dtype=np.bool_)
for _family, _known in FAMILIES.items():
    _RIGHT[int(_family), [int(kind) for kind in _known.released_by]] = True
    _TAKES_NULL[int(_family)] = _known.null_release


def right_call(allocated: Numbers, released: Numbers) -> Mask:
    """Whether memory of each family is released by the call of a family that is right for it."""
    right: Mask = _RIGHT[allocated, released]
    return right


def takes_null(kinds: Numbers) -> Mask:
    """Whether the calls of each family take null."""
    taken: Mask = _TAKES_NULL[kinds]
    return taken


def of_subjects(kinds: Numbers) -> Mask:
    """Which are of the families of modules that know nothing of freeonce."""
    mine: Mask = kinds >= int(SUBJECTS_FIRST)
    return mine


def no_memory(kinds: Numbers) -> Mask:
    """Which are of families whose handle says nothing of what else lies there (LEDGER.md)."""
    handles: Mask = kinds >= int(Kind.MEMPOOL)
    return handles
