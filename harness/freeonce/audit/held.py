"""What the CPU may use at one moment, by address. Pure.

However many operands lie over each other, opening one, closing one and asking who else has
these bytes take steps as the logarithm of how many there are, and memory as their number: a
hostile ledger costs no more.
"""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from freeonce.audit.operands import Operand

T = TypeVar("T")


class Held:
    """Operands out of a list known beforehand, in use or not.

    `key`: an operand is found only by who asks with another one. A tree by where they begin: each
    node has the farthest end below it of those in use, whose key that one has, and the farthest
    end of those with another key.
    """

    def __init__(self, known: Sequence[Operand], key: Callable[[Operand], Hashable]) -> None:
        self._known = sorted(known, key=lambda one: one.gpa)
        self._starts = [one.gpa for one in self._known]
        self._place = {one.start: place for place, one in enumerate(self._known)}
        self._key = key
        self._leaves = 1
        while self._leaves < len(self._known):
            self._leaves *= 2
        self._end = [-1] * (2 * self._leaves)
        self._whose: list[Hashable] = [None] * (2 * self._leaves)
        self._other = [-1] * (2 * self._leaves)

    def open(self, one: Operand) -> None:
        """It is the CPU's to use from now on."""
        self._set(one, one.gpa + one.size, self._key(one))

    def close(self, one: Operand) -> None:
        """Not any more."""
        self._set(one, -1, None)

    def _set(self, one: Operand, end: int, whose: Hashable) -> None:
        node = self._leaves + self._place[one.start]
        self._end[node], self._whose[node] = end, whose
        while node > 1:
            node //= 2
            far, near = 2 * node, 2 * node + 1
            if self._end[far] < self._end[near]:
                far, near = near, far
            same = self._whose[far] == self._whose[near]
            self._end[node], self._whose[node] = self._end[far], self._whose[far]
            behind = self._other[near] if same else self._end[near]
            self._other[node] = max(self._other[far], behind)

    def _reach(self, node: int, but: Hashable) -> int:
        """The farthest end below of those with another key."""
        return self._other[node] if self._whose[node] == but else self._end[node]

    def other(self, gpa: int, size: int, but: Hashable = ()) -> Operand | None:
        """The lowest in use, under another key, that shares bytes with these."""
        before = bisect_left(self._starts, gpa + size)
        low, high = self._leaves, self._leaves + before
        later = []
        while low < high:
            if low & 1:
                if self._reach(low, but) > gpa:
                    return self._lowest(low, gpa, but)
                low += 1
            if high & 1:
                high -= 1
                later.append(high)
            low, high = low >> 1, high >> 1
        for node in reversed(later):
            if self._reach(node, but) > gpa:
                return self._lowest(node, gpa, but)
        return None

    def _lowest(self, node: int, gpa: int, but: Hashable) -> Operand:
        while node < self._leaves:
            node *= 2
            if self._reach(node, but) <= gpa:
                node += 1
        return self._known[node - self._leaves]


def during(
    given: Iterable[Operand], held: Iterable[Held], asked: Iterable[tuple[int, T]]
) -> Iterator[T]:
    """Each of `asked` at its moment, when of these operands those are open that are in use then.

    What begins at that very moment is not yet; what counts for one instruction never is.
    """
    trees, questions = list(held), list(asked)
    lasting = [one for one in given if one.start < one.end]
    moments = [(at, 0, number) for number, (at, _) in enumerate(questions)]
    moments += [(one.start, 1, number) for number, one in enumerate(lasting)]
    moments += [(one.end, 2, number) for number, one in enumerate(lasting)]
    for _, kind, number in sorted(moments):
        if kind == 0:
            yield questions[number][1]
        for tree in trees if kind else ():
            (tree.open if kind == 1 else tree.close)(lasting[number])


def contested(known: Sequence[Operand], key: Callable[[Operand], Hashable]) -> list[Operand]:
    """Those that share bytes, whenever they are in use, with one of another key."""
    order = sorted(known, key=lambda one: one.gpa)
    found: dict[int, Operand] = {}
    end, whose, other = -1, None, -1
    for one in order:
        mine = key(one)
        if (other if whose == mine else end) > one.gpa:
            found[one.start] = one
        stop = one.gpa + one.size
        if whose == mine:
            end = max(end, stop)
        elif stop > end:
            end, whose, other = stop, mine, end
        else:
            other = max(other, stop)
    nearest: tuple[int, Hashable] | None = None
    next_other: int | None = None
    for one in reversed(order):
        mine = key(one)
        if nearest is not None:
            begins = next_other if nearest[1] == mine else nearest[0]
            if begins is not None and begins < one.gpa + one.size:
                found[one.start] = one
            if nearest[1] != mine:
                next_other = nearest[0]
        nearest = one.gpa, mine
    return sorted(found.values(), key=lambda one: one.start)
