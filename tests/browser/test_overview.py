"""The page of a campaign in a real browser: drawn, told cell by cell, usable by keyboard."""

import time

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser.conftest import Open
from tests.unit.test_html import HOSTILE
from tests.unit.test_overview import kept, page

pytestmark = pytest.mark.xdist_group("browser")

GUTTER = 320


def drawn(driver: Chrome) -> int:
    wait = WebDriverWait(driver, 60)
    said = wait.until(
        lambda one: one.execute_script("return document.documentElement.dataset.drawn")
    )
    return int(said)


def colours(driver: Chrome, places: list[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Red, green, blue, alpha of pixels of the map."""
    script = (
        "const canvas = document.getElementById('cells'), wide = canvas.width;"
        "const all = canvas.getContext('2d').getImageData(0, 0, wide, canvas.height).data;"
        "return arguments[0].map(([x, y]) => Array.from(all.slice(4 * (y * wide + x)).slice(0, 4)))"
    )
    return [tuple(one) for one in driver.execute_script(script, places)]


def told(driver: Chrome) -> str:
    return driver.find_element(By.ID, "at").text


def test_each_result_is_a_cell_and_is_told(load: Open) -> None:
    results = [kept("a/one", 0), kept("a/one", 1, "faulty"), kept("a/two", 1, "incomplete")]
    driver = load(page(results, "night"))
    assert drawn(driver) == 3
    # 16 px each; of the second row the first repetition is not there.
    middle = [(GUTTER + 16 * column + 8, 16 * row + 8) for row in (0, 1) for column in (0, 1)]
    clean, faulty, nothing, incomplete = colours(driver, middle)
    red, green, blue = range(3)
    assert nothing[3] == 0
    assert clean[green] > max(clean[red], clean[blue]) + 40
    assert faulty[red] > max(faulty[green], faulty[blue]) + 40
    assert min(incomplete[red], incomplete[green]) > incomplete[blue] + 40
    canvas = driver.find_element(By.ID, "cells")
    canvas.click()
    ActionChains(driver).send_keys(Keys.ARROW_UP, Keys.ARROW_LEFT, Keys.ARROW_RIGHT).perform()
    assert told(driver).startswith("a/one (1): faulty; not as expected; 0.3 s; leak slab init")
    ActionChains(driver).send_keys(Keys.ARROW_DOWN).perform()
    assert told(driver).startswith("a/two (1): incomplete; not as expected")
    ActionChains(driver).send_keys(Keys.ARROW_LEFT).perform()
    assert told(driver) == "a/two: nothing"


@pytest.mark.parametrize("words", HOSTILE)
def test_words_of_the_guest_do_nothing(load: Open, words: str) -> None:
    document = {"findings": [], "reasons": [words]}
    driver = load(page([kept(words, 0, "incomplete", document=document)], words))
    assert drawn(driver) == 1
    driver.find_element(By.ID, "cells").send_keys(Keys.ARROW_UP)
    assert "incomplete" in told(driver)
    assert driver.execute_script("return document.title") == f"freeonce campaign: {words}"


def test_a_hundred_thousand_results_open(load: Open) -> None:
    results = [
        kept(f"module {row:04}", number, "faulty" if (row + number) % 97 == 0 else "clean")
        for row in range(1000)
        for number in range(100)
    ]
    text = page(results, "large")
    start = time.monotonic()
    driver = load(text)
    assert drawn(driver) == 100_000
    print(f"drawn {time.monotonic() - start:.1f} s after it was asked for, {len(text)} bytes")
    assert driver.execute_script("return document.getElementById('cells').height") <= 30_000
