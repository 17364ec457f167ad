"""The ledger: bytes of the window to records. Format: guest/LEDGER.md, version 4."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import numpy as np
import numpy.typing as npt

from freeonce.errors import EvidenceError
from freeonce.evidence.text import one_line

MAGIC = b"FREEONCE"
VERSION = 4
HEADER_BYTES = 4096
RECORD_BYTES = 64
TEXT_BYTES = 24
CHECK_PRIME = 0x9E3779B97F4A7C15
ALIGN_INVALID = 255

# Behind every allocation, and what stands in released memory.
GUARD_LIVE = 0xCC
GUARD_RELEASED = 0xBB
POISON_RELEASED = 0x6B
PAGE_TAG = int.from_bytes(b"page", "little")
GUARD = np.dtype([("tag", "<u4"), ("serial", "<u4"), ("pattern", "u1", (8,))])
GUARD_BYTES = GUARD.itemsize

HEADER = np.dtype(
    [
        ("magic", "S8"),
        ("version", "<u4"),
        ("record_size", "<u4"),
        ("capacity", "<u8"),
        ("appended", "<u8"),
        ("release", "S64"),
        ("page_offset", "<u8"),
        ("drained", "<u8"),
    ]
)

RECORD = np.dtype(
    [
        ("sequence", "<u4"),
        ("check", "<u4"),
        ("time", "<u8"),
        ("pointer", "<u8"),
        ("physical", "<u8"),
        ("size", "<u8"),
        ("serial", "<u4"),
        ("run", "<u4"),
        ("site", "<u4"),
        ("detail", "<u4"),
        ("type", "u1"),
        ("witness", "u1"),
        ("kind", "u1"),
        ("flags", "u1"),
        ("align_log2", "u1"),
        ("zero", "u1"),
        ("cpu", "<u2"),
    ]
)

Records = npt.NDArray[np.void]
"""One-dimensional array of RECORD."""
Words = npt.NDArray[np.uint64]


class Type(IntEnum):
    """What a record says."""

    BEGIN = 1
    END = 2
    ALLOCATE = 3
    CONSTRAINT = 4
    ALLOCATE_FAILED = 5
    RELEASE = 6
    RECLAIM = 7
    LABEL = 8
    STEP = 9
    UNSUPPORTED = 10
    VMRUN = 11
    VMEXIT = 12
    SVM_ON = 13
    SVM_OFF = 14
    PANIC = 15
    MODULE_EXIT = 16
    GUARD = 17
    WITNESS_ON = 18
    SETTLED = 19
    RESTORED = 20
    CPU_STATE = 21
    BIND = 22
    OPERAND = 23
    UNBIND = 24
    HOST_REGISTER = 25
    SUBJECT = 26
    SECTION = 27
    PHASE = 28
    STACK = 29
    SYMBOL = 30
    BROKEN = 31
    BLIND = 32
    QUIESCED = 33
    STATIC = 34
    LEFT = 35
    INVLPGA = 36
    PAGE_FREED = 37
    ATTEMPT = 40


class Witness(IntEnum):
    """Who says it."""

    LEDGER = 1
    KERNEL = 2


NAMING = (Type.STACK, Type.SYMBOL, Type.BLIND)
BY_KERNEL = (Type.ALLOCATE, Type.RELEASE, Type.WITNESS_ON, *NAMING)
"""All that the kernel's witness tells. The owner tells everything but WITNESS_ON."""


KNOWN = tuple(Type)

WITH_FLAGS = (
    *(Type.BEGIN, Type.END, Type.ALLOCATE, Type.ALLOCATE_FAILED, Type.RELEASE),
    *(Type.BIND, Type.OPERAND, Type.VMRUN),
)
WITH_ALIGNMENT = (Type.ALLOCATE, Type.ALLOCATE_FAILED, Type.RELEASE)
WITH_FAMILY = (
    *WITH_ALIGNMENT,
    *(Type.CONSTRAINT, Type.RECLAIM, Type.RESTORED, Type.BROKEN, Type.ATTEMPT),
)
"""In every other type these fields are 0, so that one type does not pass for another."""


class Family(IntEnum):
    """A kind of resource: by the call that was used, not by what would have been right."""

    NONE = 0
    POOL = 1
    CONTIGUOUS = 2
    SLAB = 3
    OBJECT = 4
    CACHE = 5
    PAGES = 6
    VMALLOC = 7
    KVMALLOC = 8
    PERCPU = 9
    MEMPOOL = 10
    IOMAP = 11
    CIPHER = 12
    MISC = 13
    SRCU = 14
    REGISTRATION = 15


Kind = Family


class Flag(IntEnum):
    """Bits of `flags`; some mean another thing in a record of another type."""

    WITHHELD = 1
    INJECTED = 2
    RANGE = 4
    REAL = 8
    IDENTITY = 16
    TAIL = 32
    UNLOAD = 64
    EXACT = 64
    WRAPPED = 128
    KEPT = 2
    DEFERRED = 8
    LIFE = 16
    GONE = 2
    FOREIGN = 4
    PAGED = 8
    RAISED = 16


class Phase(IntEnum):
    """Where a load of a subject is."""

    COMING = 1
    LIVE = 2
    GOING = 3
    GONE = 4
    INIT_FAILED = 5


class Broken(IntEnum):
    """Where memory is not as it was left."""

    FRONT = 1
    BEHIND = 2
    POISON = 3


class Blind(IntEnum):
    """Why something was not recorded."""

    BOOKS = 1
    STACKS = 2
    RELEASE = 3
    HOOKS = 4
    REST = 5
    ROOM = 6
    CPUS = 7


class Quiesced(IntEnum):
    """Bits: what was waited for before the end of a life."""

    RCU = 1
    WORK = 2
    DEFERRED = 4


class Structure(IntEnum):
    """What an address given to the CPU is for."""

    VMCB = 1
    HOST_VMCB = 2
    HOST_SAVE_AREA = 3
    IOPM = 4
    MSRPM = 5
    NESTED_TABLE = 6
    NESTED_PAGE = 7
    MORE = 8
    PAGE_TABLE = 9
    PAGE = 10
    VMSAVE = 11
    HANDLER_STACK = 12
    HANDLER_DATA = 13


class Field(IntEnum):
    """By which field of a VMCB an L2 reaches what is not told."""

    AVIC = 1
    VMSA = 2
    CR3 = 3


CPU_STATE_GIF = 1
CPU_STATE_SILENT = 2
CPU_STATE_FLUSH_BY_ASID = 4
CPU_STATE_SEV_ES = 8

HOST_REGISTERS = (
    *("CR0", "CR2", "CR3", "CR4", "CR8", "DR0", "DR1", "DR2", "DR3", "DR6", "DR7", "EFER"),
    *("FS.base", "GS.base", "KernelGSbase", "STAR", "LSTAR", "CSTAR", "SFMASK"),
    *("SYSENTER_CS", "SYSENTER_ESP", "SYSENTER_EIP", "PAT", "GDTR", "IDTR", "LDTR", "TR"),
    *("selectors of data segments", "XCR0", "FPU"),
)
"""By the number in a `host_register`."""


@dataclass(frozen=True)
class Header:
    """The window's first page. `appended` counts attempts, `capacity` what fits.

    `drained`: how many records may have been written over, as the host has them.
    """

    capacity: int
    appended: int
    release: str
    page_offset: int
    drained: int

    @property
    def count(self) -> int:
        """Records that were written, those that the host has drained among them."""
        return min(self.appended, self.drained + self.capacity)

    @property
    def dropped(self) -> int:
        """Records that found the ledger full."""
        return self.appended - self.count


def parse_header(data: bytes, window_bytes: int) -> Header:
    """The header of a window of `window_bytes`.

    Raises EvidenceError for a window without a module, of another version, or with a
    capacity that is not the window's.
    """
    if len(data) < HEADER_BYTES:
        raise EvidenceError(f"the ledger's header is {len(data)} bytes, not {HEADER_BYTES}")
    (raw,) = np.frombuffer(data, HEADER, count=1)
    if bytes(raw["magic"]) != MAGIC:
        raise EvidenceError("no ledger in the window: is the module loaded?")
    if raw["version"] != VERSION or raw["record_size"] != RECORD_BYTES:
        raise EvidenceError(
            f"ledger version {raw['version']} with records of {raw['record_size']} bytes; "
            f"this is for version {VERSION} with {RECORD_BYTES}"
        )
    capacity = (window_bytes - HEADER_BYTES) // RECORD_BYTES
    if raw["capacity"] != capacity:
        raise EvidenceError(f"the ledger claims {raw['capacity']} records, not {capacity}")
    if raw["drained"] > raw["appended"]:
        raise EvidenceError("the ledger reports more drained records than it ever had")
    return Header(
        capacity=capacity,
        appended=int(raw["appended"]),
        release=one_line(bytes(raw["release"])),
        page_offset=int(raw["page_offset"]),
        drained=int(raw["drained"]),
    )


def _hashed(words: npt.NDArray[np.uint64], first: npt.NDArray[np.uint64]) -> Words:
    prime = np.uint64(CHECK_PRIME)
    hashed = (prime ^ first) * prime
    for column in range(1, words.shape[1]):
        hashed = (hashed ^ words[:, column]) * prime
    return hashed


def _words(records: Records) -> Words:
    """Eight a record."""
    return np.ascontiguousarray(records).view("<u8").reshape(len(records), RECORD_BYTES // 8)


def check_words(records: Records) -> npt.NDArray[np.uint32]:
    """The check that each record should have."""
    hashed = _hashed(_words(records), records["sequence"].astype(np.uint64))
    return (hashed >> np.uint64(32)).astype(np.uint32)


def digest(data: bytes) -> int:
    """Of whole records as they stand, whatever they are. Those of parts add up, modulo 2^64."""
    words = _words(np.frombuffer(data, RECORD))
    return int(np.sum(_hashed(words, words[:, 0]), dtype=np.uint64))


def finished(data: bytes, first: int) -> int:
    """How many records stand whole in a row from the first on, whose index is `first`.

    Behind them somebody is still writing, or was interrupted for good.
    """
    records = np.frombuffer(data, RECORD, count=len(data) // RECORD_BYTES)
    sequence = np.arange(first + 1, first + len(records) + 1, dtype=np.uint64)
    good = (records["sequence"] == sequence) & (records["check"] == check_words(records))
    return len(records) if np.all(good) else int(np.argmin(good))


@dataclass(frozen=True)
class Parsed:
    """Records that stand whole, and how many do not."""

    records: Records
    torn: int
    damaged: int


def parse_records(data: bytes, first: int) -> Parsed:
    """Records from bytes that begin at record `first` (0-based).

    A record with sequence 0 is torn: its writer never finished. One whose sequence or
    check is wrong, or that names an unknown type, witness or kind, or a type that its
    witness cannot tell, or that carries what its type does not, is damaged.
    A length that is no multiple of a record counts as one more torn record.
    """
    whole, rest = divmod(len(data), RECORD_BYTES)
    records = np.frombuffer(data, RECORD, count=whole)
    torn = records["sequence"] == 0
    sequence = np.arange(first + 1, first + whole + 1, dtype=np.uint64)
    good = (
        (records["sequence"] == sequence)
        & (records["check"] == check_words(records))
        & among(records["type"], KNOWN)
        & _tellable(records)
        & _carries(records)
        & (records["kind"] <= max(Kind))
        & (records["zero"] == 0)
    )
    return Parsed(
        records=records[good],
        torn=int(torn.sum()) + (1 if rest else 0),
        damaged=int((~good & ~torn).sum()),
    )


def _tellable(records: Records) -> npt.NDArray[np.bool_]:
    """Whether each is of a known witness, and of a type that this witness tells."""
    kernel = among(records["type"], BY_KERNEL)
    owner = records["type"] != Type.WITNESS_ON
    told: npt.NDArray[np.bool_] = np.where(
        records["witness"] == Witness.KERNEL, kernel, owner & (records["witness"] == Witness.LEDGER)
    )
    return told


def _carries(records: Records) -> npt.NDArray[np.bool_]:
    """Whether each has flags, an alignment, a family and an error only where its type does."""
    kinds = records["type"]
    failed = kinds == Type.ALLOCATE_FAILED
    # Linux's error numbers end at 4095 (include/linux/err.h).
    right: npt.NDArray[np.bool_] = (
        ((records["flags"] == 0) | among(kinds, WITH_FLAGS))
        & ((records["align_log2"] == 0) | among(kinds, WITH_ALIGNMENT))
        & ((records["kind"] == 0) | among(kinds, WITH_FAMILY))
        & (~failed | (records["detail"] > (1 << 32) - 4096))
    )
    return right


@cache
def _members(types: tuple[Type, ...]) -> npt.NDArray[np.bool_]:
    found = np.zeros(256, dtype=np.bool_)
    found[[int(one) for one in types]] = True
    return found


def among(kinds: npt.NDArray[np.uint8], types: tuple[Type, ...]) -> npt.NDArray[np.bool_]:
    """Which of the column `type` are of these; of few records ten times as fast as isin."""
    mine: npt.NDArray[np.bool_] = _members(types)[kinds]
    return mine


def within(values: npt.ArrayLike, some: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """np.isin, which takes as long for nothing as for a thousand; here one is mostly empty."""
    asked, wanted = np.asarray(values), np.asarray(some)
    if not len(asked) or not len(wanted):
        return np.zeros(len(asked), dtype=np.bool_)
    return np.isin(asked, wanted)


def choose(records: Records, mask: npt.NDArray[np.bool_]) -> Records:
    """The records where `mask` is set; ten times as fast as numpy's own way by fields."""
    chosen: Records = np.ascontiguousarray(records).view(f"V{RECORD_BYTES}")[mask].view(RECORD)
    return chosen


def seal(records: Records) -> Records:
    """A copy with `check` set: for tests and for saved evidence."""
    sealed = records.copy()
    sealed["check"] = check_words(sealed)
    return sealed


def bytes_of(record: np.void) -> bytes:
    """The 24 bytes that a record carries in place of pointer, physical and size."""
    words = (int(record[name]) for name in ("pointer", "physical", "size"))
    return b"".join(word.to_bytes(8, "little") for word in words)


def text_of(record: np.void) -> str:
    """The text that a record carries in those bytes."""
    return text_of_bytes(bytes_of(record))


def text_of_bytes(data: bytes) -> str:
    """A text of the guest's, padded with zeros."""
    return one_line(data.rstrip(b"\0"))


def signed(detail: int) -> int:
    """`detail` as the signed number that the guest wrote."""
    return detail - (1 << 32) if detail >= 1 << 31 else detail
