"""How many lives with a failed acquisition are led and judged in a minute."""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from freeonce.audit.attempts import Where
from freeonce.bench.figure import Figure
from freeonce.project.setting import Setting
from freeonce.run.audit import Lives, ready
from freeonce.run.prepare import Wish, prepare

POINTS = 200
KBUILD = "obj-m += cheap.o\n"
CHEAP = """
#include <linux/module.h>
#include <linux/slab.h>
static void *taken;
static int __init cheap_init(void)
{
    taken = kmalloc(64, GFP_KERNEL);
    return taken ? 0 : -ENOMEM;
}
static void __exit cheap_exit(void)
{
    kfree(taken);
}
module_init(cheap_init);
module_exit(cheap_exit);
MODULE_LICENSE("GPL");
"""
"""A module that costs no more than to be loaded and unloaded."""


def figures(setting: Setting, rounds: int) -> Iterator[Figure]:
    """Points a minute, of such a module and of null_blk: with their clone, and all witnesses."""
    with TemporaryDirectory() as scratch:
        cheap = Path(scratch) / "cheap"
        cheap.mkdir()
        (cheap / "Kbuild").write_text(KBUILD)
        (cheap / "cheap.c").write_text(CHEAP)
        goals = (str(cheap), "a cheap module", 5000), ("null_blk", "null_blk", 600)
        for target, name, goal in goals:
            samples = tuple(_a_minute(setting, target) for _ in range(rounds))
            yield Figure(f"failure points of {name}", "a minute", samples, goal, at_least=True)


def _a_minute(setting: Setting, target: str) -> float:
    """Points of one module: those that it has, and more, which come to nothing."""
    with ready(setting) as (whole, source), TemporaryDirectory() as scratch:
        leader = Lives(whole, source, prepare(Wish(targets=(target,)), whole.image, Path(scratch)))
        leader.plain()
        start = time.perf_counter()
        # Behind the last acquisition nothing fails, and the life is a whole one: it costs more.
        led = list(leader.failing([Where(number) for number in range(1, POINTS + 1)]))
        return 60 * len(led) / (time.perf_counter() - start)
