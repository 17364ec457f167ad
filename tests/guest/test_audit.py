"""Modules that do not do what they should: a reason with a name, in time, and never clean."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from freeonce.audit.life import Life, Stage
from freeonce.audit.model import Verdict
from freeonce.deadline import patience
from freeonce.errors import Loss, Obstacle, SubjectError
from freeonce.machine.template import Template
from freeonce.project.setting import Setting, find_setting
from freeonce.run.audit import audit, ready
from freeonce.run.life import Limits
from freeonce.run.prepare import Wish, prepare
from freeonce.subject.build import Headers, build
from freeonce.subject.toolchain import tools_of, versions_of

pytestmark = pytest.mark.xdist_group("audit")

HEAD = """// SPDX-License-Identifier: GPL-2.0
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/slab.h>
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("For a test");
static void *kept;
static int take(void)
{
	kept = kmalloc(10, GFP_KERNEL);
	return kept ? 0 : -ENOMEM;
}
"""
INIT = "static int __init start(void) {{ {} }}\nmodule_init(start);\n"
EXIT = "static void __exit stop(void) {{ {} }}\nmodule_exit(stop);\n"
SLEEP = "for (;;) msleep(100);"
GIVE = "kfree(kept);"
POKE = """static int poke(const char *text, const struct kernel_param *unused) {{ {} }}
module_param_call(poke, poke, NULL, NULL, 0200);
"""
OOPS = "*(volatile int *)0x18 = 1;"
SOURCES = {
    "good": INIT.format("return take();") + EXIT.format(GIVE),
    "refuses": INIT.format('pr_err("refuses: no such card\\n"); return -ENODEV;'),
    "sleeps": INIT.format(f"take(); {SLEEP} return 0;"),
    "oopses": INIT.format(f"take(); {OOPS} return 0;"),
    "panics": INIT.format('take(); panic("enough"); return 0;'),
    "stays": INIT.format("__module_get(THIS_MODULE); return take();") + EXIT.format(GIVE),
    "lingers": INIT.format("return take();") + EXIT.format(SLEEP),
    "forever": INIT.format("return take();"),
    "pokes": INIT.format("return take();") + EXIT.format(GIVE) + POKE.format(f"{OOPS} return 0;"),
    "stops": INIT.format("return take();") + EXIT.format(GIVE) + POKE.format('panic("stop");'),
    "breaks": INIT.format("return take();") + EXIT.format(f"{OOPS} kfree(kept);"),
}
LIMITS = Limits(load=15, exercise=15, unload=15, quiesce=15)
SECONDS = 60
"""That such a life may take in all: a guest, what led there, and one limit."""


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Setting, Template]]:
    with ready(find_setting("auto", svm=False)) as found:
        yield found


def test_the_compiler_that_is_told_is_that_of_what_is_built(
    place: tuple[Setting, Template], modules: Path, tmp_path: Path
) -> None:
    image = place[0].image
    told = versions_of(tools_of(Headers(image.headers, image.headers_source), tmp_path))
    built = (modules / "good.ko").read_bytes()
    # What a compiler writes into .comment, and a linker nowhere.
    (version,) = set(re.findall(rb"GCC: \((.*?)\) [\d.]+\0", built))
    assert version.decode() in told["CC"]
    assert "ld" in told["LD"]


@pytest.fixture(scope="module")
def modules(place: tuple[Setting, Template], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of them, built."""
    source = tmp_path_factory.mktemp("source") / "bad"
    source.mkdir()
    for name, text in SOURCES.items():
        (source / f"{name}.c").write_text(HEAD + text)
    (source / "Kbuild").write_text("".join(f"obj-m += {name}.o\n" for name in SOURCES))
    image = place[0].image
    scratch = tmp_path_factory.mktemp("built")
    build(source, Headers(image.headers, image.headers_source), scratch)
    return scratch / "bad"


def lead(place: tuple[Setting, Template], wish: Wish, scratch: Path) -> Life:
    setting, source = place
    return audit(setting, source, prepare(wish, setting.image, scratch))


@pytest.mark.parametrize(
    ("name", "obstacle", "stage", "loss"),
    [
        ("refuses", Obstacle.DOES_NOT_LOAD, Stage.JUDGE, None),
        ("sleeps", Obstacle.HANGS_IN_INIT, Stage.LOAD, Loss.HANG),
        ("oopses", Obstacle.GUEST_LOST, Stage.LOAD, Loss.OOPS),
        ("panics", Obstacle.GUEST_LOST, Stage.LOAD, Loss.PANIC),
        ("stays", Obstacle.DOES_NOT_UNLOAD, Stage.JUDGE, None),
        ("lingers", Obstacle.DOES_NOT_UNLOAD, Stage.UNLOAD, Loss.HANG),
        ("forever", Obstacle.DOES_NOT_UNLOAD, Stage.JUDGE, None),
        ("pokes", Obstacle.GUEST_LOST, Stage.EXERCISE, Loss.OOPS),
        ("stops", Obstacle.GUEST_LOST, Stage.EXERCISE, Loss.PANIC),
        ("breaks", Obstacle.GUEST_LOST, Stage.UNLOAD, Loss.OOPS),
    ],
)
def test_what_stops_a_life_is_told(
    name: str,
    obstacle: Obstacle,
    stage: Stage,
    loss: Loss | None,
    place: tuple[Setting, Template],
    modules: Path,
    tmp_path: Path,
) -> None:
    poke = (
        f"[ ! -e /sys/module/{name}/parameters/poke ] || echo 1 >/sys/module/{name}/parameters/poke"
    )
    wish = Wish((str(modules / f"{name}.ko"),), commands=(poke,), limits=LIMITS)
    start = time.monotonic()
    life = lead(place, wish, tmp_path)
    assert time.monotonic() - start < SECONDS * patience()
    assert (life.reasons[0].obstacle, life.stage, life.result.loss) == (obstacle, stage, loss)
    judgement = life.result.judgement
    assert judgement.verdict is Verdict.INCOMPLETE
    # What it did up to then is known.
    assert judgement.allocations == (0 if name == "refuses" else 1)
    if name == "refuses":
        assert "No such device" in life.reasons[0].message
        assert "no such card" in life.reasons[0].message


def test_an_exercise_that_fails_spoils_a_clean_life(
    place: tuple[Setting, Template], modules: Path, tmp_path: Path
) -> None:
    target = (str(modules / "good.ko"),)
    (tmp_path / "clean").mkdir()
    clean = lead(place, Wish(target, commands=("true",)), tmp_path / "clean")
    assert clean.result.judgement.verdict is Verdict.CLEAN, clean.result.judgement.reasons
    (tmp_path / "not").mkdir()
    commands = ("echo words; false", "sleep 100")
    spoilt = lead(
        place, Wish(target, commands=commands, limits=Limits(exercise=1)), tmp_path / "not"
    )
    assert spoilt.result.judgement.verdict is Verdict.INCOMPLETE
    assert [one.status for one in spoilt.ran] == [1, None]
    assert {one.obstacle for one in spoilt.reasons} == {Obstacle.EXERCISE_FAILED}


def test_the_second_of_two_targets_that_does_not_load_spoils_no_first(
    place: tuple[Setting, Template], modules: Path, tmp_path: Path
) -> None:
    """The first is unloaded and judged: what it took it gave back."""
    wish = Wish((str(modules / "good.ko"), str(modules / "refuses.ko")), commands=("false",))
    life = lead(place, wish, tmp_path)
    (reason,) = life.reasons
    assert (reason.obstacle, life.stage) == (Obstacle.DOES_NOT_LOAD, Stage.JUDGE)
    assert "refuses" in reason.message
    # An exercise of what is not there is none.
    assert life.ran == ()
    judgement = life.result.judgement
    assert (judgement.allocations, judgement.findings) == (1, ())
    assert judgement.verdict is Verdict.INCOMPLETE


def test_a_module_for_another_kernel_is_refused_before_any_guest(
    place: tuple[Setting, Template], modules: Path, tmp_path: Path
) -> None:
    release = place[0].image.release
    data = (modules / "good.ko").read_bytes()
    other = tmp_path / "other.ko"
    other.write_bytes(data.replace(release.encode(), b"9" + release.encode()[1:]))
    with pytest.raises(SubjectError, match=release) as error:
        prepare(Wish((str(other),)), place[0].image, tmp_path)
    assert error.value.reason is Obstacle.WRONG_KERNEL
