"""What the CPU may use at one moment, by address: a segment tree. Pure.

However many operands lie over each other, opening one, closing one and asking who else has
these bytes take steps as the logarithm of how many there are: a hostile ledger costs no more.
"""

from bisect import bisect_left, bisect_right
from collections import OrderedDict, defaultdict
from collections.abc import Hashable, Iterator

from freeonce.audit.operands import Operand


class _ByKey:
    """Operands by a key, so that one under another key is found at once."""

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        # Ordered, since a plain dict that lost its first items is slow to begin.
        self._keys: OrderedDict[Hashable, OrderedDict[int, Operand]] = OrderedDict()

    def add(self, key: Hashable, one: Operand) -> None:
        self._keys.setdefault(key, OrderedDict())[one.start] = one

    def remove(self, key: Hashable, one: Operand) -> None:
        under = self._keys[key]
        del under[one.start]
        if not under:
            del self._keys[key]

    def other(self, key: Hashable) -> Operand | None:
        """The first under the first other key."""
        for found, under in self._keys.items():
            if found != key:
                return next(iter(under.values()))
        return None


class _Users:
    """Operands in one place, whoever has them."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: OrderedDict[int, Operand] = OrderedDict()

    def add(self, one: Operand) -> None:
        self._open[one.start] = one

    def remove(self, one: Operand) -> None:
        del self._open[one.start]

    def against(self, _: Operand | None) -> Operand | None:
        """One that is in use."""
        return next(iter(self._open.values()), None)


class _Rivals:
    """Operands in one place, by what keeps them from being shared."""

    __slots__ = ("_by_owner", "_read_by_root", "_written_by_owner")

    def __init__(self) -> None:
        self._by_owner = _ByKey()
        self._written_by_owner: _ByKey | None = None
        self._read_by_root: _ByKey | None = None

    def add(self, one: Operand) -> None:
        self._by_owner.add(one.owner, one)
        if one.written:
            self._written_by_owner = self._written_by_owner or _ByKey()
            self._written_by_owner.add(one.owner, one)
        else:
            self._read_by_root = self._read_by_root or _ByKey()
            self._read_by_root.add(one.root, one)

    def remove(self, one: Operand) -> None:
        self._by_owner.remove(one.owner, one)
        if one.written and self._written_by_owner:
            self._written_by_owner.remove(one.owner, one)
        elif self._read_by_root:
            self._read_by_root.remove(one.root, one)

    def against(self, one: Operand | None) -> Operand | None:
        """One that must not share bytes with this one; an owner has one root at a time."""
        assert one is not None
        if one.written:
            return self._by_owner.other(one.owner)
        written = self._written_by_owner.other(one.owner) if self._written_by_owner else None
        read = self._read_by_root.other(one.root) if self._read_by_root else None
        return written or read


class Held:
    """Operands out of a list known beforehand, opened and closed one by one."""

    def __init__(self, known: list[Operand], node: type[_Users] | type[_Rivals]) -> None:
        ends = {one.gpa for one in known} | {one.gpa + one.size for one in known}
        self._bounds = sorted(ends)
        # By number of a node: the root is 1, below n are 2n and 2n + 1. `here`: of operands
        # that cover all of it and are not counted above; `within`: those and all below.
        self._here: defaultdict[int, _Users | _Rivals] = defaultdict(node)
        self._within: defaultdict[int, _Users | _Rivals] = defaultdict(node)

    @classmethod
    def by_users(cls, known: list[Operand]) -> "Held":
        """To be asked whether anybody uses some bytes."""
        return cls(known, _Users)

    @classmethod
    def by_rivals(cls, known: list[Operand]) -> "Held":
        """To be asked whether somebody uses the bytes of an operand who must not."""
        return cls(known, _Rivals)

    def _nodes(self, gpa: int, size: int) -> tuple[set[int], set[int]]:
        """The few nodes that together cover these bytes, and all above them."""
        low = max(bisect_right(self._bounds, gpa) - 1, 0) + len(self._bounds)
        high = bisect_left(self._bounds, gpa + size) + len(self._bounds)
        cover, above = set(), set()
        while size and low < high:
            if low & 1:
                cover.add(low)
                low += 1
            if high & 1:
                high -= 1
                cover.add(high)
            low, high = low >> 1, high >> 1
        for node in cover:
            while node := node >> 1:
                above.add(node)
        return cover, above

    def _of(self, one: Operand) -> Iterator[_Users | _Rivals]:
        """Every node that an operand is in while it is open."""
        cover, above = self._nodes(one.gpa, one.size)
        yield from (self._here[node] for node in cover)
        yield from (self._within[node] for node in cover | above)

    def open(self, one: Operand) -> None:
        """It is the CPU's to use from now on."""
        for node in self._of(one):
            node.add(one)

    def close(self, one: Operand) -> None:
        """Not any more."""
        for node in self._of(one):
            node.remove(one)

    def _around(self, gpa: int, size: int) -> Iterator[_Users | _Rivals]:
        """Nodes that hold all open operands that share bytes with these, and no other."""
        cover, above = self._nodes(gpa, size)
        yield from (self._within[node] for node in cover if node in self._within)
        yield from (self._here[node] for node in above if node in self._here)

    def against(self, one: Operand) -> Operand | None:
        """An open operand, an early one, that must not share bytes with this one and does."""
        return _first(node.against(one) for node in self._around(one.gpa, one.size))

    def user(self, gpa: int, size: int) -> Operand | None:
        """An open operand, an early one, that shares bytes with these."""
        return _first(node.against(None) for node in self._around(gpa, size))


def _first(found: Iterator[Operand | None]) -> Operand | None:
    return min((one for one in found if one is not None), key=lambda one: one.start, default=None)
