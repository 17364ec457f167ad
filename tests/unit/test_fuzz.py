"""The corpus of the fuzzers, each input once: what was found stays mended."""

import time
from pathlib import Path

import pytest

from tests.fuzz.mutator import mutate
from tests.fuzz.targets import CORPUS, SECONDS, TARGETS, corpus

FILES = [file for name in TARGETS for file in corpus(name)]


def test_every_target_has_a_corpus() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(TARGETS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_an_input_neither_crashes_nor_hangs(file: Path) -> None:
    began = time.process_time()
    TARGETS[file.parent.name](file.read_bytes())
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("seed", range(40))
def test_a_changed_ledger_neither_crashes_nor_hangs(seed: int) -> None:
    files = corpus("ledger")
    data = files[seed % len(files)].read_bytes()
    for step in range(5):
        data = mutate(data, 16384, 5 * seed + step)
    TARGETS["ledger"](data)
