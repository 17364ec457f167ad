"""Instructions moved behind the end of their section, with calls beside them. Pure.

Each jump to what moves is aimed anew, those that move themselves too; then all is read again.
"""

from collections.abc import Mapping, Sequence

from freeonce.subject.instructions import HOOKS, Instruction, read_code
from freeonce.subject.relocations import EXCEPTIONS, PLT32, Relocations
from freeonce.subject.staying import JUMP, JUMP_BYTES, Region, displacement, plain_jump
from freeonce.subject.text import Text

CALL = b"\xe8"
NOP, INT3 = b"\x90", b"\xcc"


def move(
    text: Text, regions: Sequence[Region], hooks: Mapping[str, int], relocations: Relocations
) -> bytes | None:
    """What the section is to be; None, and no relocation changed, if that would not be whole.

    `hooks`: the index of each one's symbol.
    """
    writing = _Writing(text, regions)
    if not writing.is_whole():
        return None
    for at, hook in writing.calls:
        relocations.add(text.index, at, PLT32, hooks[hook], -4)
    for old, new in writing.moved.items():
        relocations.aim(EXCEPTIONS, text.index, old, new)
    return bytes(writing.content)


class _Writing:
    """`calls`: where the distance to each hook stands; `moved`: where each instruction that moved
    stands now; `jumps`: the place behind each that was written, and where it led of old."""

    def __init__(self, text: Text, regions: Sequence[Region]) -> None:
        self.content = bytearray(text.content)
        self.calls: list[tuple[int, str]] = []
        self.moved: dict[int, int] = {}
        self._jumps: list[tuple[int, int]] = []
        self._text = text
        for region in regions:
            self._copy(region)
        for region in regions:
            self._leave(region)
        self._aim({region.start for region in regions})

    def _copy(self, region: Region) -> None:
        self.content += INT3 * (-len(self.content) % 16)
        for one in region.instructions:
            self.moved[one.offset] = len(self.content)
            before, behind = HOOKS.get(one.mnemonic, (None, None))
            self._call(before)
            self._instruction(one)
            self._call(behind)
        if not plain_jump(region.instructions[-1]):
            self._jump(region.end)

    def _instruction(self, one: Instruction) -> None:
        if plain_jump(one):
            self._jump(one.target or 0)
        else:
            self.content += one.code

    def _call(self, hook: str | None) -> None:
        if hook is not None:
            self.content += CALL + bytes(4)
            self.calls.append((len(self.content) - 4, hook))

    def _jump(self, to: int) -> None:
        self.content += JUMP + bytes(4)
        self._jumps.append((len(self.content), to))

    def _leave(self, region: Region) -> None:
        """A jump where these stood."""
        room = region.end - region.start - JUMP_BYTES
        self.content[region.start : region.end] = JUMP + bytes(4) + NOP * room
        self._jumps.append((region.start + JUMP_BYTES, region.start))

    def _aim(self, starts: set[int]) -> None:
        for old in self.moved.keys() - starts:
            # Where one stood that moves itself there is no jump any more.
            self._jumps += [
                (one.end, old)
                for one in self._text.jumps.get(old, ())
                if one.offset not in self.moved
            ]
        for after, to in self._jumps:
            self.content[after - 4 : after] = displacement(after, self.moved.get(to, to))

    def is_whole(self) -> bool:
        """Whether, read again, each jump that was written leads to an instruction."""
        content = bytes(self.content)
        added = read_code(content, len(self._text.content), len(content))
        begins = {one.offset for one in added.instructions}
        stay = self._text.begins - self.moved.keys()
        return (
            added.unread == added.end
            and begins.issuperset(self.moved.values())
            and all(
                after + int.from_bytes(content[after - 4 : after], "little", signed=True)
                in (begins if to in self.moved else stay)
                for after, to in self._jumps
            )
        )
