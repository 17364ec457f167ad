"""The guest's own account of its ledger, as it comes over SSH. Format: guest/LEDGER.md. Pure."""

import os
import re

from freeonce.errors import CommandFailed

HEAD = re.compile(rb"(\d{1,4}) (\d{1,10})\n")


def parse_account(answer: bytes) -> bytes:
    """The bytes that the guest tells.

    Raises CommandFailed for an error of the guest, and for what is not whole.
    """
    head = HEAD.match(answer)
    if head is None:
        raise CommandFailed(f"the guest's account of its ledger begins with {answer[:16]!r}")
    if int(head[1]):
        said = os.strerror(int(head[1]))
        raise CommandFailed(f"the guest cannot report its ledger: {said}")
    told = answer[head.end() :]
    if len(told) != int(head[2]):
        raise CommandFailed(f"the guest told {len(told)} of {int(head[2])} bytes of its ledger")
    return told
