"""The pytest plugin: pristine guests as fixtures, audits to assert, markers for what a test needs.

Registered by the package's entry point. Every pytest in the environment imports this file, so
what takes long to import waits for the first fixture that needs it.
"""

import difflib
import fnmatch
import warnings
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from freeonce.audit.result import Result
    from freeonce.machine.monitor import Monitor
    from freeonce.machine.template import Template
    from freeonce.project.file import Project
    from freeonce.project.setting import Setting
    from freeonce.report.places import Everywhere
    from freeonce.run.prepare import Wish
    from freeonce.testing.audited import Audit, AuditedGuest

MARKER = "freeonce"
SKIPPED = "freeonce: "
KEYS = ("needs", "kernel", "accel")
HELP = (
    "freeonce(needs, kernel, accel): what the test needs of the machine. needs: a CPU feature by "
    "QEMU's name, or several; kernel: a pattern of the guest kernel's release; accel: kvm or tcg. "
    "Elsewhere the test is skipped; with --freeonce-strict it fails."
)

_guest_of = pytest.StashKey["AuditedGuest"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Our two options."""
    group = parser.getgroup("freeonce", "guests of freeonce")
    group.addoption(
        "--freeonce-accel",
        choices=("auto", "kvm", "tcg"),
        default="auto",
        help="what runs the guests (default: kvm where it runs guests with SVM, else tcg)",
    )
    group.addoption(
        "--freeonce-strict",
        action="store_true",
        help="fail a test whose @pytest.mark.freeonce needs what this machine does not have",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", HELP)


def _give_up(reason: str) -> NoReturn:
    pytest.fail(f"{SKIPPED}{reason}", pytrace=False)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with a guest runs for each kernel of the project, one with a target for each."""
    if not {"freeonce_kernel", "freeonce_target"} & {*metafunc.fixturenames}:
        return
    ours = _project()
    kernels = ours.kernels if ours else ()
    if "freeonce_kernel" in metafunc.fixturenames and len(kernels) > 1:
        metafunc.parametrize("freeonce_kernel", kernels, indirect=True, scope="session")
    if "freeonce_target" in metafunc.fixturenames:
        targets = ours.defaults["audit"].get("targets", []) if ours else []
        metafunc.parametrize("freeonce_target", targets, indirect=True)


def _project() -> "Project | None":
    """None for one that is wrong, too: the first fixture that needs it says so."""
    from freeonce.errors import UsageError  # noqa: PLC0415
    from freeonce.project.chosen import project  # noqa: PLC0415

    try:
        return project()
    except UsageError:
        return None


@pytest.fixture(scope="session")
def freeonce_kernel(request: pytest.FixtureRequest) -> str | None:
    """The kernel that guests boot, as `freeonce.toml` names it; None: the first, or without one."""
    kernel: str | None = getattr(request, "param", None)
    return kernel


@pytest.fixture
def freeonce_target(request: pytest.FixtureRequest) -> str:
    """One of the `targets` of `[audit]` in `freeonce.toml`, for `audit_module`."""
    target: str = request.param
    return target


@pytest.fixture(scope="session")
def freeonce_setting(pytestconfig: pytest.Config, freeonce_kernel: str | None) -> "Setting":
    """Image, QEMU and accelerator. Fails, with what to do, where one is missing."""
    from freeonce.errors import HostError, UsageError  # noqa: PLC0415
    from freeonce.project.platform import unfit  # noqa: PLC0415

    if obstacle := unfit():
        _give_up(obstacle)
    from freeonce.project.setting import find_setting  # noqa: PLC0415

    try:
        return find_setting(pytestconfig.getoption("--freeonce-accel"), kernel=freeonce_kernel)
    except (HostError, UsageError) as error:
        _give_up(str(error))


@pytest.fixture(scope="session")
def freeonce_template(freeonce_setting: "Setting") -> Iterator["Template"]:
    """What guests are cloned from: built by the first worker that comes; the others wait."""
    from freeonce.run.hire import template_for_any  # noqa: PLC0415

    with template_for_any(freeonce_setting) as source:
        yield source


@pytest.fixture(scope="session")
def freeonce_monitor(
    freeonce_setting: "Setting", freeonce_template: "Template"
) -> Iterator["Monitor"]:
    """The QMP line of a guest in which nothing runs, to ask for the CPU's features."""
    from freeonce.guest import clone  # noqa: PLC0415

    with clone(freeonce_template, freeonce_setting.image, connect=False) as machine:
        machine.monitor.execute("stop")
        yield machine.monitor


@pytest.fixture
def freeonce_guest(
    request: pytest.FixtureRequest, freeonce_setting: "Setting", freeonce_template: "Template"
) -> Iterator["AuditedGuest"]:
    """A pristine guest for this test alone."""
    from freeonce.guest import clone  # noqa: PLC0415
    from freeonce.testing.audited import AuditedGuest  # noqa: PLC0415

    def find(results: "Sequence[Result]") -> "Everywhere":
        return _places(freeonce_setting, results)

    def lead(wish: "Wish") -> "tuple[Result, Everywhere]":
        return _life(freeonce_setting, wish)

    with clone(freeonce_template, freeonce_setting.image) as machine:
        request.node.stash[_guest_of] = audited = AuditedGuest(machine, find, lead)
        yield audited


@pytest.fixture
def freeonce_audit(freeonce_guest: "AuditedGuest") -> Iterator["Audit"]:
    """An audit of all that the test runs in `freeonce_guest`."""
    with freeonce_guest.audit() as whole:
        yield whole


# As they were called before: every pytest of an environment has them, so they had common names.
@pytest.fixture
def guest(freeonce_guest: "AuditedGuest") -> "AuditedGuest":
    """The old name of `freeonce_guest`."""
    warnings.warn("the fixture guest is now freeonce_guest", DeprecationWarning, stacklevel=2)
    return freeonce_guest


@pytest.fixture
def audit(freeonce_audit: "Audit") -> "Audit":
    """The old name of `freeonce_audit`."""
    warnings.warn("the fixture audit is now freeonce_audit", DeprecationWarning, stacklevel=2)
    return freeonce_audit


def _life(setting: "Setting", wish: "Wish") -> "tuple[Result, Everywhere]":
    from freeonce.report.life import places_of  # noqa: PLC0415
    from freeonce.run.audit import audited  # noqa: PLC0415

    done = audited(wish, setting)
    return done.life.result, places_of(done.traces)


def _places(setting: "Setting", results: "Sequence[Result]") -> "Everywhere":
    """Without debug info the findings name no lines, and are none the less true."""
    from freeonce.errors import HostError  # noqa: PLC0415
    from freeonce.report.places import NOWHERE, Everywhere  # noqa: PLC0415
    from freeonce.subject.symbols import places  # noqa: PLC0415

    runs = [result.evidence.told for result in results]
    try:
        return Everywhere(zip(runs, places(setting.image.specimens, runs), strict=True))
    except HostError:
        return NOWHERE


@pytest.fixture(autouse=True)
def _freeonce_needs(request: pytest.FixtureRequest) -> None:
    """Skip a test whose markers ask for what this machine has not."""
    for mark in request.node.iter_markers(MARKER):
        if unknown := (set(mark.kwargs) - set(KEYS)) or mark.args:
            _give_up(f"the marker knows {', '.join(KEYS)}, not {', '.join(map(str, unknown))}")
        for reason in _obstacles(request, mark):
            if request.config.getoption("--freeonce-strict"):
                _give_up(reason)
            pytest.skip(f"{SKIPPED}{reason}")


def _obstacles(request: pytest.FixtureRequest, mark: pytest.Mark) -> Iterator[str]:
    setting: Setting = request.getfixturevalue("freeonce_setting")
    accel, kernel = mark.kwargs.get("accel"), mark.kwargs.get("kernel")
    if accel not in (None, "kvm", "tcg"):
        _give_up(f"there is no accelerator {accel!r}; it is kvm or tcg")
    if accel not in (None, setting.accelerator.name):
        yield f"needs {accel}, and {setting.accelerator.name} runs: {setting.accelerator.reason}"
    if kernel is not None and not fnmatch.fnmatch(setting.image.release, kernel):
        yield f"needs a kernel {kernel}, and the guest's is {setting.image.release}"
    needs = mark.kwargs.get("needs", ())
    for feature in (needs,) if isinstance(needs, str) else needs:
        if not _has(request.getfixturevalue("freeonce_monitor"), feature):
            yield f"needs {feature}, and this CPU ({setting.accelerator.name}) does not have it"


def _has(line: "Monitor", feature: str) -> bool:
    """Whether the guest's first CPU has it. Fails for a name that QEMU does not know."""
    cpus = line.execute("query-cpus-fast")
    path = cpus[0]["qom-path"] if isinstance(cpus, list) else ""
    properties = line.execute("qom-list", {"path": path})
    names = [
        one["name"]
        for one in (properties if isinstance(properties, list) else ())
        if one["type"] == "bool"
    ]
    # The kernel writes nrip_save where QEMU writes nrip-save; of others QEMU knows both.
    for name in (feature, feature.replace("_", "-")):
        if name in names:
            return line.execute("qom-get", {"path": path, "property": name}) is True
    _give_up(_unknown_feature(feature, names))


def _unknown_feature(feature: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(feature, names, n=3)
    hint = f"did you mean {', '.join(near)}?" if near else "'qemu-system-x86_64 -cpu help' has all"
    return f"QEMU knows no CPU feature {feature!r}; {hint}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Let a failed assertion of a test with audits begin with what they came to, in words."""
    try:
        return (yield)
    except AssertionError as error:
        guest = item.stash.get(_guest_of, None)
        words = [audit.words() for audit in guest.audits if audit.results] if guest else []
        if words:
            error.args = ("\n".join(dict.fromkeys([*words, str(error)])),)
        raise


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> None:
    """Say out loud what was not tested here, and why."""
    skipped = [report.longrepr for report in terminalreporter.stats.get("skipped", ())]
    # File, line and reason; a list when another process sent it.
    reasons = [one[2] for one in skipped if isinstance(one, tuple | list)]
    ours = [text for text in reasons if SKIPPED in text]
    if ours:
        terminalreporter.section("freeonce: not tested on this machine")
    for text in dict.fromkeys(ours):
        terminalreporter.line(f"{ours.count(text)} x {text.partition(SKIPPED)[2]}")
