"""A second judge of a scenario's run: slow, obvious, from docs/rules.md and not from the code.

Rows are records as dictionaries, in order; memory is a function from a gpa to the byte there.
It believes all accounts: whether they contradict each other it does not ask.
"""

from collections.abc import Callable

from freeonce.evidence.ledger import Kind, Type

Row = dict[str, int]
Faults = list[tuple[str, int]]
"""Rule and serial of the allocation, 0 for none."""

GUARD = 16
WRITE_BACK = 6
OWNER, KERNEL = 1, 2


def judge(rows: list[Row], byte_at: Callable[[int], int]) -> Faults:
    """Every violated rule of docs/rules.md, but those of the CPU's addresses."""
    owner = [row for row in rows if row["witness"] == OWNER]
    end = next(row["sequence"] for row in rows if row["type"] == Type.END)
    made = [row for row in owner if row["type"] == Type.ALLOCATE]
    faults: Faults = []
    for row in owner:
        if row["type"] == Type.RELEASE and row["sequence"] < end:
            faults += _release(row, made, owner)
    for one in made:
        named = _releases_of(one, owner, end)
        if not named:
            faults.append(("leak", one["serial"]))
        if not _kernels(one):
            faults += _placed(one, owner) + _memory(one, named, owner, byte_at)
    faults += _registers(rows)
    return sorted(faults + _past_the_ledger(rows, made))


def _releases_of(one: Row, owner: list[Row], before: int) -> list[Row]:
    """The releases that name an allocation, in order."""
    return [
        row
        for row in owner
        if row["type"] == Type.RELEASE
        and row["pointer"] == one["pointer"]
        and one["sequence"] < row["sequence"] < before
    ]


def _release(row: Row, made: list[Row], owner: list[Row]) -> Faults:
    """What is wrong with one release."""
    if row["pointer"] == 0:
        return [("null-free", 0)]
    earlier = [one for one in made if one["sequence"] < row["sequence"]]
    for one in earlier:
        if one["pointer"] == row["pointer"]:
            return _release_of(row, one, owner)
    inside = [
        one["serial"]
        for one in earlier
        if one["pointer"] < row["pointer"] < one["pointer"] + one["size"]
    ]
    return [("invalid-free", inside[0] if inside else 0)]


def _release_of(row: Row, one: Row, owner: list[Row]) -> Faults:
    """What is wrong with a release that names an allocation."""
    before = _releases_of(one, owner, row["sequence"])
    # Of the kernel's memory a wrong release, which is withheld, is none.
    if any(not _kernels(one) or _kernels(other) for other in before):
        return [("double-free", one["serial"])]
    if _kernels(one):
        return [] if _kernels(row) else [("invalid-free", 0)]
    if _kernels(row):
        return [("unledgered", one["serial"])]
    if one["kind"] != row["kind"]:
        return [("mismatched-free", one["serial"])]
    same = one["size"] == row["size"] and one["align_log2"] == row["align_log2"]
    return [] if same else [("wrong-size-free", one["serial"])]


def _kernels(row: Row) -> bool:
    """Whether memory or a call is of the kernel's own allocators."""
    return row["kind"] not in (Kind.POOL, Kind.CONTIGUOUS)


def _placed(one: Row, owner: list[Row]) -> Faults:
    """Whether an allocation lies where it was asked for, and is cached so."""
    wrong = one["pointer"] % (1 << one["align_log2"]) != 0
    for asked in owner:
        if asked["type"] == Type.CONSTRAINT and asked["serial"] == one["serial"]:
            first, last = one["physical"], one["physical"] + one["size"] - 1
            lowest, highest, boundary = (asked.get(f, 0) for f in ("pointer", "physical", "size"))
            wrong |= not lowest <= first <= last <= highest
            wrong |= boundary != 0 and first // boundary != last // boundary
            wrong |= one["detail"] & 0xFF != asked["detail"] & 0xFF
    left = [
        row
        for row in owner
        if row["type"] == Type.RESTORED
        and row["serial"] == one["serial"]
        and row["detail"] != WRITE_BACK
    ]
    faults: Faults = [("misplaced", one["serial"])] if wrong else []
    return faults + [("not-restored", one["serial"]) for _ in left]


def _memory(one: Row, named: list[Row], owner: list[Row], byte_at: Callable[[int], int]) -> Faults:
    """Whether guard and poison are whole. A release by the wrong call poisons nothing."""
    gone = bool(named) and named[0]["kind"] == one["kind"]
    tag = one["detail"] if one["kind"] == Kind.POOL else int.from_bytes(b"page", "little")
    name = tag.to_bytes(4, "little") + one["serial"].to_bytes(4, "little")
    behind = [byte_at(one["physical"] + one["size"] + at) for at in range(GUARD)]
    broken = bytes(behind) != name + (b"\xbb" if gone else b"\xcc") * 8
    for row in owner:
        if row["type"] == Type.GUARD and row["serial"] == one["serial"]:
            found = row["pointer"].to_bytes(8, "little") + row["physical"].to_bytes(8, "little")
            broken |= found != name + b"\xcc" * 8
    faults: Faults = [("out-of-bounds", one["serial"])] if broken else []
    written = any(byte_at(one["physical"] + at) != 0x6B for at in range(one["size"]))
    return faults + ([("use-after-free", one["serial"])] if gone and written else [])


def _registers(rows: list[Row]) -> Faults:
    """EFER and VM_HSAVE_PA of each CPU, before and after."""
    states: dict[int, list[Row]] = {}
    for row in rows:
        if row["type"] == Type.CPU_STATE:
            states.setdefault(row["serial"], []).append(row)
    return [
        ("not-restored", 0)
        for told in states.values()
        if (told[0]["pointer"], told[0]["physical"]) != (told[-1]["pointer"], told[-1]["physical"])
    ]


def _past_the_ledger(rows: list[Row], made: list[Row]) -> Faults:
    """What the kernel gave out that nobody told of, and what it got back and never gave."""
    faults: Faults = []
    given: list[Row] = []
    for row in rows:
        if row["witness"] == KERNEL and row["type"] == Type.ALLOCATE:
            given.append(row)
            end = row["pointer"] + row["size"]
            if not any(row["pointer"] <= one["pointer"] < end for one in made):
                faults.append(("unledgered", 0))
        elif row["witness"] == KERNEL and row["type"] == Type.RELEASE:
            given_there = [one for one in given if one["pointer"] == row["pointer"]]
            faults += [] if given_there else [("unledgered", 0)]
    return faults
