"""The plugin in a pytest of its own, on a machine written by hand."""

import pytest

from freeonce.project import chosen

CONFTEST = """
from types import SimpleNamespace

import pytest

from freeonce.project import chosen

NAMES = {"svm": True, "nrip-save": False}


class Monitor:
    def execute(self, command, arguments=None):
        if command == "query-cpus-fast":
            return [{"qom-path": "/cpu"}]
        if command == "qom-list":
            named = [{"name": name, "type": "bool"} for name in NAMES]
            return [*named, {"name": "family", "type": "int"}]
        return NAMES[arguments["property"]]


@pytest.fixture(scope="session")
def freeonce_setting():
    return SimpleNamespace(
        image=SimpleNamespace(release="6.1.0-56-cloud-amd64"),
        accelerator=SimpleNamespace(name="tcg", reason="asked for"),
    )


@pytest.fixture(scope="session")
def freeonce_monitor():
    return Monitor()
"""


THERE = (
    "",
    "needs='svm'",
    "needs=['svm']",
    "kernel='6.1.*'",
    "accel='tcg'",
    "needs='svm', kernel='6.*', accel='tcg'",
)
NOT_THERE = {
    "needs='nrip_save'": "needs nrip_save, and this CPU (tcg) does not have it",
    "needs=['svm', 'nrip-save']": "needs nrip-save, and this CPU (tcg) does not have it",
    "kernel='6.12*'": "needs a kernel 6.12*, and the guest's is 6.1.0-56-cloud-amd64",
    "accel='kvm'": "needs kvm, and tcg runs: asked for",
}
WRONG = {
    "needs='nrip_svae'": "QEMU knows no CPU feature 'nrip_svae'; did you mean nrip-save?",
    "needs='family'": "QEMU knows no CPU feature 'family'; 'qemu-system-x86_64 -cpu help' has all",
    "accel='hvf'": "there is no accelerator 'hvf'; it is kvm or tcg",
    "kernle='6.*'": "the marker knows needs, kernel, accel, not kernle",
    "'svm'": "the marker knows needs, kernel, accel, not svm",
}


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A test for each of the markers above."""
    pytester.makeconftest(CONFTEST)
    tests = [
        f"@pytest.mark.freeonce({marker})\ndef test_{number}():\n    pass\n"
        for number, marker in enumerate((*THERE, *NOT_THERE, *WRONG))
    ]
    pytester.makepyfile("\n".join(["import pytest\n", *tests]))
    return pytester


def test_what_is_there_runs_and_what_is_not_is_skipped_aloud(project: pytest.Pytester) -> None:
    done = project.runpytest("--strict-markers", "-q")
    done.assert_outcomes(passed=len(THERE), skipped=len(NOT_THERE), errors=len(WRONG))
    for reason in NOT_THERE.values():
        assert f"1 x {reason}" in done.outlines
    for reason in WRONG.values():
        assert f"freeonce: {reason}" in done.outlines


def test_when_strict_what_is_not_there_fails(project: pytest.Pytester) -> None:
    done = project.runpytest("--strict-markers", "-q", "--freeonce-strict")
    done.assert_outcomes(passed=len(THERE), errors=len(NOT_THERE) + len(WRONG))
    for reason in (*NOT_THERE.values(), *WRONG.values()):
        assert f"freeonce: {reason}" in done.outlines


def test_a_missing_image_fails_with_what_to_do(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FREEONCE_IMAGE", str(pytester.path / "gone.json"))
    pytester.makepyfile("def test_it(guest):\n    pass\n")
    outcome = pytester.runpytest("--freeonce-accel=tcg")
    outcome.assert_outcomes(errors=1)
    outcome.stdout.fnmatch_lines("freeonce: *gone.json*freeonce setup*")


def test_a_project_without_guests_starts_none(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import sys\n\ndef test_it():\n    assert 'freeonce.guest' not in sys.modules\n"
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


KERNELS = """
import pytest

from freeonce.project import chosen


@pytest.fixture(scope="session")
def freeonce_setting(freeonce_kernel):
    print(f"set up {freeonce_kernel}")
    return freeonce_kernel
"""
TESTS = """
def test_guest(freeonce_setting):
    assert freeonce_setting in ("cloud", "host")


def test_module(freeonce_setting, freeonce_target):
    assert freeonce_target in ("./module", "zram")


def test_alone():
    pass
"""


@pytest.fixture
def of_a_project(pytester: pytest.Pytester) -> pytest.Pytester:
    chosen.project.cache_clear()
    pytester.makeconftest(KERNELS)
    pytester.makepyfile(TESTS)
    pytester.mkdir("module")
    return pytester


def settings(pytester: pytest.Pytester, text: str) -> None:
    (pytester.path / "freeonce.toml").write_text(text)


def test_tests_run_for_each_kernel_and_target_of_the_project(
    of_a_project: pytest.Pytester,
) -> None:
    settings(of_a_project, 'kernels = ["cloud", "host"]\n[audit]\ntargets = ["module", "zram"]\n')
    done = of_a_project.runpytest("-s", "-v")
    done.assert_outcomes(passed=2 + 4 + 1)
    for name in ("guest[cloud]", "guest[host]", "module[cloud-zram]", "module[host-./module]"):
        done.stdout.fnmatch_lines(f"*test_{name.replace('[', '[[]')}*")
    # What takes long is done once for each kernel, not for each test.
    assert done.stdout.str().count("set up cloud") == done.stdout.str().count("set up host") == 1


def test_with_one_kernel_tests_keep_their_names(of_a_project: pytest.Pytester) -> None:
    settings(of_a_project, "")
    done = of_a_project.runpytest("--collect-only", "-q")
    done.stdout.fnmatch_lines("*::test_guest")
    # Without targets there is nothing to run it for.
    done = of_a_project.runpytest("-k", "module")
    done.assert_outcomes(skipped=1)


def test_a_project_that_is_wrong_is_no_error_of_the_plugin(
    of_a_project: pytest.Pytester,
) -> None:
    settings(of_a_project, "kernels = []")
    done = of_a_project.runpytest("-k", "alone")
    done.assert_outcomes(passed=1, deselected=2)
