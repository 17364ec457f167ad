"""What stands around a run: what the host asked for, begin, end, settling. Pure.

A run is over at its end. What comes after that is the module's own work, which gives back
what the run left; anything else there is something that nobody judged.
"""

import errno
from collections.abc import Iterator

import numpy as np

from freeonce.audit.model import Asked
from freeonce.audit.run import Mask, Run, end_of, ending_of, status_of
from freeonce.evidence.ledger import Flag, Kind, Records, Type, Witness, among, signed, within
from freeonce.evidence.said import whole

NAMING = (Type.STACK, Type.SYMBOL)
SETTLING = (Type.RECLAIM, Type.SETTLED, Type.BROKEN, *NAMING)
BY_KERNEL = (Type.RELEASE, *NAMING)
LEAVING = (
    *(Type.BIND, Type.OPERAND, Type.UNBIND, Type.VMRUN, Type.VMEXIT),
    *(Type.SVM_OFF, Type.HOST_REGISTER, Type.STATIC, Type.LEFT, Type.INVLPGA),
)
"""What a hypervisor that was left running records until settling has stopped it."""
RELEASING = (Type.RELEASE, Type.GUARD, Type.RESTORED)
"""What a release writes. After the end it is none: `leak` tells of it."""


def before_begin(earlier: Records, records: Records) -> Iterator[str]:
    """What is wrong with the records before the begin of a run, which `records` starts with.

    Nothing when they are the whole settling of one run before: that was due, and is judged there.
    """
    if not len(earlier):
        return
    kernel = earlier["witness"] == Witness.KERNEL
    kinds = earlier["type"]
    settles = np.where(kernel, among(kinds, BY_KERNEL), among(kinds, (*SETTLING, *LEAVING)))
    of_this = earlier["run"] == records["run"][0]
    one_run = len(np.unique(earlier["run"])) == 1 and not np.any(of_this)
    if not (np.all(settles) and one_run and kinds[-1] == Type.SETTLED):
        yield "there are other records before the begin of this run"


def reasons(run: Run, records: Records, asked: Asked) -> tuple[str, ...]:
    """Why the records are not one whole run as the host asked for it."""
    kinds = records["type"]
    if not len(kinds) or kinds[0] != Type.BEGIN or np.count_nonzero(kinds == Type.BEGIN) != 1:
        return ("the ledger has no begin of this run",)
    if asked.flags != int(records["flags"][0]):
        return ("the ledger has another kind of run than the host asked for",)
    if _mixed(records):
        return ("records of several runs are mixed",)
    status = status_of(records)
    if status is None:
        return ("the ledger has no end of this run",)
    if status != 0:
        return (_gave_up(records, status),)
    ended = (*_settling(run, records), *_after_the_end(run, records))
    return (*_while_ending(run, records), *ended)


def _mixed(records: Records) -> bool:
    """Whether they are of several runs. What came after the end may be of none."""
    of_none = (records["sequence"] > end_of(records)) & (records["run"] == 0)
    runs = records["run"][~of_none]
    return not len(runs) or bool(np.any(runs != runs[0]))


def _gave_up(records: Records, status: int) -> str:
    steps = whole(records[records["type"] == Type.STEP])
    after = f' after "{steps[-1].text}"' if steps else ""
    return f"the scenario gave up with {status} ({_name(status)}){after}{_refused(records)}"


def _name(status: int) -> str:
    return errno.errorcode.get(-status, "unknown error")


def _refused(records: Records) -> str:
    """The last allocation that was asked for and not given, and why."""
    failed = records[
        (records["type"] == Type.ALLOCATE_FAILED) & (records["witness"] == Witness.LEDGER)
    ]
    if not len(failed):
        return ""
    last = failed[-1]
    error, kind = signed(int(last["detail"])), Kind(int(last["kind"]))
    what = f"; {int(last['size'])} bytes {kind.name.lower()} were refused: "
    if int(last["flags"]) & Flag.INJECTED:
        return f"{what}made to fail"
    if error == -errno.E2BIG:
        return f"{what}the largest possible size is {int(last['physical'])}"
    if error == -errno.EWOULDBLOCK:
        return f"{what}it may sleep, which is not allowed here"
    return f"{what}{error} ({_name(error)})"


def _settling(run: Run, records: Records) -> Iterator[str]:
    """Settled once, as many allocations given back as it says, and as much memory found broken."""
    settled = np.flatnonzero(records["type"] == Type.SETTLED)
    if len(settled) != 1 or np.any(records["type"][settled[0] + 1 :] != Type.RELEASE):
        yield "the run was not settled"
        return
    after = records["sequence"] > end_of(records)
    given_back = np.count_nonzero(after & (records["type"] == Type.RECLAIM))
    if given_back != int(records["detail"][settled[0]]):
        yield f"settling gave back {given_back} allocations, but reports another number"
    told = np.count_nonzero(records["type"] == Type.BROKEN)
    found = int(records["size"][settled[0]])
    if told != found:
        yield f"memory was found broken {found} times by the books, {told} by the ledger"


def _while_ending(run: Run, records: Records) -> Iterator[str]:
    """Releases between the CPUs' states and the end that nobody judged: neither as those of leaked
    memory nor, withheld, by the rules.
    """
    after, before = ending_of(records), end_of(records)
    between = records[(records["sequence"] > after) & (records["sequence"] < before)]
    released = (between["type"] == Type.RELEASE) & (between["witness"] == Witness.LEDGER)
    judged = within(between["sequence"], run.releases["sequence"])
    if np.any(released & ~judged & ~late_releases(run, between)):
        yield "something was released again while the run was being ended"


def _after_the_end(run: Run, records: Records) -> Iterator[str]:
    """What came after the end and is neither settling nor a release that came too late."""
    after = records[records["sequence"] > end_of(records)]
    kinds, kernel = after["type"], after["witness"] == Witness.KERNEL
    too_late = late_releases(run, after)
    settles = np.where(kernel, among(kinds, BY_KERNEL), among(kinds, SETTLING))
    if any(_left_running(records)):
        settles |= ~kernel & among(kinds, LEAVING)
    names = sorted({Type(int(kind)).name.lower() for kind in kinds[~settles & ~too_late]})
    if names:
        yield f"something happened after the end of the run: {', '.join(names)}"


def late_releases(run: Run, after: Records) -> Mask:
    """What the owner's releases of leaked memory wrote."""
    if not run.late:
        return np.zeros(len(after), dtype=np.bool_)
    serials = [int(run.allocates["serial"][index]) for index in run.late]
    sequences = [int(release["sequence"]) for release in run.late.values()]
    owner = after["witness"] == Witness.LEDGER
    found: Mask = owner & (
        within(after["sequence"], sequences)
        | (among(after["type"], RELEASING[1:]) & within(after["serial"], serials))
    )
    return found


def _left_running(records: Records) -> Iterator[bool]:
    """Whether SVM was still on at the end, of each CPU where it ever was."""
    told = records[among(records["type"], (Type.SVM_ON, Type.SVM_OFF))]
    before = told[told["sequence"] < end_of(records)]
    on = {int(record["cpu"]): record["type"] == Type.SVM_ON for record in before}
    yield from map(bool, on.values())
