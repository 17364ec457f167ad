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


class _Node:
    """Operands in one place."""

    def __init__(self) -> None:
        self.by_owner = _ByKey()
        self.written_by_owner = _ByKey()
        self.read_by_root = _ByKey()

    def _groups(self, one: Operand) -> Iterator[tuple[_ByKey, Hashable]]:
        yield self.by_owner, one.owner
        if one.written:
            yield self.written_by_owner, one.owner
        else:
            yield self.read_by_root, one.root

    def add(self, one: Operand) -> None:
        for group, key in self._groups(one):
            group.add(key, one)

    def remove(self, one: Operand) -> None:
        for group, key in self._groups(one):
            group.remove(key, one)

    def against(self, one: Operand) -> Operand | None:
        """One that must not share bytes with this one; an owner has one root at a time."""
        if one.written:
            return self.by_owner.other(one.owner)
        return self.written_by_owner.other(one.owner) or self.read_by_root.other(one.root)

    def any(self) -> Operand | None:
        return self.by_owner.other(None)


class Held:
    """Operands out of a list known beforehand, opened and closed one by one."""

    def __init__(self, known: list[Operand]) -> None:
        ends = {one.gpa for one in known} | {one.gpa + one.size for one in known}
        self._bounds = sorted(ends)
        # By number of a node: the root is 1, below n are 2n and 2n + 1. `here`: of operands
        # that cover all of it and are not counted above; `within`: those and all below.
        self._here: defaultdict[int, _Node] = defaultdict(_Node)
        self._within: defaultdict[int, _Node] = defaultdict(_Node)

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

    def _of(self, one: Operand) -> Iterator[_Node]:
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

    def _around(self, gpa: int, size: int) -> Iterator[_Node]:
        """Nodes that hold all open operands that share bytes with these, and no other."""
        cover, above = self._nodes(gpa, size)
        yield from (self._within[node] for node in cover if node in self._within)
        yield from (self._here[node] for node in above if node in self._here)

    def against(self, one: Operand) -> Operand | None:
        """An open operand, an early one, that must not share bytes with this one and does."""
        return _first(node.against(one) for node in self._around(one.gpa, one.size))

    def user(self, gpa: int, size: int) -> Operand | None:
        """An open operand, an early one, that shares bytes with these."""
        return _first(node.any() for node in self._around(gpa, size))


def _first(found: Iterator[Operand | None]) -> Operand | None:
    return min((one for one in found if one is not None), key=lambda one: one.start, default=None)
