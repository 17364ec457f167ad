"""Instructions that give the CPU memory, led through calls that record what they are given. Pure.

A jump has 5 bytes and VMRUN 3, so neighbours move with it to the end of the same section, where
there is room for calls:

    vmrun          jmp 1f        ...  1: call freeonce_hook_vmrun
    pop %rax   ->  nop                   vmrun
    mov ...     2: ...                   call freeonce_hook_vmexit
                                         pop %rax
                                         jmp 2b

What moves is chosen first (`moving`), then written and read again (`moved`). What cannot be moved
is left as it is, and told with the reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from freeonce.subject.instructions import candidates
from freeonce.subject.module import Module
from freeonce.subject.moved import move
from freeonce.subject.moving import Found, choose
from freeonce.subject.msrs import of_others
from freeonce.subject.relocations import Relocations
from freeonce.subject.staying import Ground
from freeonce.subject.text import read_text

OVER = "the code would not be complete after the move"


@dataclass
class Patched:
    """A module's sections as they are to be. `contents`: by index."""

    contents: dict[int, bytes] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)


def led_by_calls(module: Module, hooks: Mapping[str, int]) -> Patched:
    """All that is found, and the sections that change.

    `hooks`: the index that each one's symbol will have in the symbol table. Raises SubjectError
    `damaged`.
    """
    done = Patched()
    chosen = candidates(module)
    if not chosen:
        return done
    relocations = Relocations.of(module.elf)
    texts = [read_text(module, index, relocations) for index in chosen]
    without_interrupts = any(text.has("clgi") for text in texts)
    for text in texts:
        ground = Ground(text, relocations, without_interrupts)
        regions, found = choose(ground, hooks, of_others(module, text, relocations))
        content = move(text, regions, hooks, relocations) if regions else None
        if content is not None:
            done.contents[text.index] = content
        elif regions:
            found = [replace(one, left=one.left or OVER) for one in found]
        done.found += found
    done.contents |= relocations.contents()
    return done
