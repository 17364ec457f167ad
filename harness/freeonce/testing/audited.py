"""A guest for tests: what runs in it is judged, and what an audit came to can be asserted."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from freeonce.audit.model import Finding, Verdict
from freeonce.audit.result import Result
from freeonce.errors import EvidenceError, GuestLost, UsageError
from freeonce.evidence.scenarios import Scenario
from freeonce.guest import Guest
from freeonce.report.places import NOWHERE, Everywhere, where
from freeonce.report.words import sentence
from freeonce.run.campaign import run_one
from freeonce.run.choose import select
from freeonce.run.prepare import Wish
from freeonce.run.task import PLAIN, Options

Find = Callable[[Sequence[Result]], Everywhere]
"""The lines of source that some results speak of."""

WORST_FIRST = (Verdict.INCOMPLETE, Verdict.FAULTY, Verdict.UNSUPPORTED, Verdict.CLEAN)


class Judged:
    """Results that can be asserted. `find` gives the lines of source that findings name."""

    HOW = "call audit.run(NAME) before you ask for a result"

    def __init__(self, find: Find) -> None:
        self._find = find
        self._results: list[Result] = []
        self.over = False
        """Whether the block has ended: nothing runs in it any more."""

    def note(self, result: Result) -> None:
        """Take one run's result."""
        self._results.append(result)

    @property
    def results(self) -> tuple[Result, ...]:
        """Every run, in order: verdict, findings and reasons, whatever they are."""
        return tuple(self._results)

    @property
    def verdict(self) -> Verdict:
        """The worst of all runs; `incomplete` as long as nothing ran."""
        verdicts = {result.judgement.verdict for result in self._results}
        return next((one for one in WORST_FIRST if one in verdicts), Verdict.INCOMPLETE)

    @property
    def clean(self) -> bool:
        """Whether every run was clean, by all witnesses.

        Raises UsageError when nothing ran: that proves nothing.
        """
        self._need_a_run()
        return self.verdict is Verdict.CLEAN

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found in all runs, in their order.

        Raises UsageError when nothing ran, and EvidenceError when some evidence is
        incomplete: no findings would look like none to be found. `results` has what is known.
        """
        self._need_a_run()
        if self.verdict is Verdict.INCOMPLETE:
            raise EvidenceError(
                f"the evidence is incomplete, so not all findings are known:\n{self.words()}"
            )
        return tuple(one for result in self._results for one in result.judgement.findings)

    def _need_a_run(self) -> None:
        if not self._results:
            raise UsageError(f"nothing ran in this audit, so nothing is proven; {self.HOW}")

    def words(self) -> str:
        """Each run's verdict, findings and reasons, for people."""
        found = [result for result in self._results if result.judgement.findings]
        places = self._find(found) if found else NOWHERE
        return "\n".join(line for result in self._results for line in _words(result, places))

    def __repr__(self) -> str:
        names = ", ".join(result.scenario.name for result in self._results)
        return f"<audit of {names or 'nothing'}: {self.verdict}>"


class Audit(Judged):
    """All runs begun inside of one `with guest.audit() as audit:`, each judged when it ends."""

    def __init__(self, guest: "AuditedGuest", find: Find) -> None:
        super().__init__(find)
        self._guest = guest

    def run(self, name: str, options: Options = PLAIN) -> Result:
        """Run a scenario in the guest and take its evidence into this audit.

        Raises UsageError for a name that the guest does not know or when the block has
        ended, GuestLost when a run before left the guest unfit for another.
        """
        if self.over:
            raise UsageError(f"{name} cannot run in an audit that is over; call guest.run")
        return self._guest.run(name, options)


class ModuleAudit(Judged):
    """A module's life in one `with guest.audit_module(...) as life:`, judged when that ends."""

    HOW = "ask when the block of audit_module has ended"

    def __init__(self) -> None:
        super().__init__(_nowhere)
        self.commands: list[str] = []

    def run(self, command: str) -> None:
        """A command of the guest's shell, for when the module is loaded; they run in their order.

        The life is led when the block ends. Raises UsageError after that.
        """
        if self.over:
            raise UsageError(f"{command!r} comes too late: the module's life is over")
        self.commands.append(command)

    def led(self, result: Result, places: Everywhere) -> None:
        """What the life came to, and where its findings are."""
        self.note(result)
        self._find = lambda _: places


def _words(result: Result, places: Everywhere) -> Iterator[str]:
    judgement = result.judgement
    yield f"{result.scenario.name} is {judgement.verdict}"
    for finding in judgement.findings:
        yield f"  {finding.rule}: {sentence(finding, result.why.get(finding))}"
        yield from (f"    {said}" for said in where(finding, places.of(result)))
    for reason in judgement.reasons:
        yield f"  {reason}"


def _nowhere(_: Sequence[Result]) -> Everywhere:
    return NOWHERE


Lead = Callable[[Wish], tuple[Result, Everywhere]]
"""Leads a module's life in a guest of its own."""


def _no_modules(_: Wish) -> tuple[Result, Everywhere]:
    raise UsageError("this guest was made for scenarios; modules need the fixture freeonce_guest")


class AuditedGuest:
    """A guest whose runs are judged. `machine`: the guest itself, for commands and memory.

    `find` gives the lines of source that its findings name, `lead` leads the lives of modules.
    """

    def __init__(self, machine: Guest, find: Find = _nowhere, lead: Lead = _no_modules) -> None:
        self.machine = machine
        self._lead = lead
        self.audits: list[Judged] = []
        """Every audit that was begun, in order."""
        self._find = find
        self._open: list[Audit] = []
        self._unfit = ""
        self._known: dict[str, Scenario] = {}

    def scenarios(self) -> tuple[Scenario, ...]:
        """What can run, in the guest's order. Raises EvidenceError, GuestLost."""
        return self.machine.scenarios()

    @contextmanager
    def audit(self) -> Iterator[Audit]:
        """Collects every run that is begun inside, by `audit.run` or by `run`."""
        audit = Audit(self, self._find)
        self.audits.append(audit)
        self._open.append(audit)
        try:
            yield audit
        finally:
            audit.over = True
            self._open.remove(audit)

    @contextmanager
    def audit_module(
        self, *targets: str | Path, params: str = "", files: Sequence[str] = ()
    ) -> Iterator[ModuleAudit]:
        """Load modules, run what is asked for inside, unload them, and judge: when it ends.

        `targets`, `params` (as of insmod), `files` (HOST[:GUEST]): as of `freeonce audit`. The
        life is led in a guest of its own. Raises UsageError, HostError at the end of the block.
        """
        life = ModuleAudit()
        yield life
        life.over = True
        names = tuple(map(str, targets))
        wish = Wish(names, params, commands=tuple(life.commands), carried=tuple(files))
        life.led(*self._lead(wish))
        self.audits.append(life)

    def run(self, name: str, options: Options = PLAIN) -> Result:
        """Run one scenario, by its whole name, and judge it; its audits are told.

        Raises UsageError for a name that the guest does not know, GuestLost when a run
        before left the guest unfit for another.
        """
        scenario = self._named(name)
        if self._unfit:
            raise GuestLost(f"{name} cannot run: the guest is unfit since {self._unfit}")
        result, fit = run_one(self.machine, scenario, options)
        if not fit:
            self._unfit = name
        for audit in self._open:
            audit.note(result)
        return result

    def _named(self, name: str) -> Scenario:
        self._known = self._known or {one.name: one for one in self.scenarios()}
        if name in self._known:
            return self._known[name]
        several = select(tuple(self._known.values()), [name])
        raise UsageError(
            f"{name!r} names {len(several)} scenarios and one runs at a time; "
            f"take each by its name, as {several[0].name!r}"
        )
