"""How many lives with a failed acquisition are led and judged in a minute."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from freeonce.audit.attempts import Each, Where
from freeonce.bench.figure import Figure
from freeonce.project.setting import Setting
from freeonce.run.audit import Lives, guests_at_once, ready
from freeonce.run.prepare import Wish, prepare

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
    """Points a minute of such a module and of two drivers, with clones and all witnesses."""
    with TemporaryDirectory() as scratch:
        cheap = Path(scratch) / "cheap"
        cheap.mkdir()
        (cheap / "Kbuild").write_text(KBUILD)
        (cheap / "cheap.c").write_text(CHEAP)
        for target, name, points, goal in (
            (str(cheap), "a cheap module", 4000, 5000),
            ("null_blk", "null_blk", 1000, 600),
            ("nbd", "nbd", 500, 600),
        ):
            samples = tuple(_a_minute(setting, target, points) for _ in range(rounds))
            yield Figure(f"failure points of {name}", "a minute", samples, goal, at_least=True)


def _a_minute(setting: Setting, target: str, points: int) -> float:
    """Points of one module: those that it has, and more, which come to nothing."""
    one = replace(setting, machine=replace(setting.machine, cpus=Each.cpus))
    with ready(one) as place, TemporaryDirectory() as scratch:
        prepared = prepare(Wish(targets=(target,)), one.image, Path(scratch))
        leader = Lives(place, place, prepared, guests_at_once(one))
        leader.plain()
        start = time.perf_counter()
        # Behind the last acquisition nothing fails, and the life is a whole one: it costs more.
        led = list(leader.failing([Where(number) for number in range(1, points + 1)]))
        return 60 * len(led) / (time.perf_counter() - start)
