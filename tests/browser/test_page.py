"""The HTML report in a real browser: drawn, filtered, usable by keyboard, deaf to the guest."""

from itertools import pairwise

import numpy as np
import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import presence_of_element_located
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from freeonce.audit.result import Evidence, Result
from freeonce.evidence.ledger import RECORD, Kind, Structure, Type, Witness
from freeonce.evidence.scenarios import Scenario
from freeonce.report.html import html_text
from freeonce.report.places import Everywhere
from freeonce.subject.places import Frame, Place
from tests.browser.conftest import Open
from tests.unit.history import History, run
from tests.unit.results import HOST, result, told
from tests.unit.test_html import HOSTILE

pytestmark = pytest.mark.xdist_group("browser")


def leaking() -> History:
    history = run().allocate(1, 0x1000).text(Type.LABEL, "foo", serial=1)
    history.text(Type.STEP, "assign").release(0, 0, withheld=True)
    history.bind(1, 0x1000).operand(1, Structure.VMCB, 0x1000, 64)
    history.operand(1, Structure.HOST_VMCB, 0x1000, 64)
    history.enter(1, 0x1000).add(Type.UNBIND, serial=1)
    history.release(1, 0x1000).allocate(2, 0x2000, kind=Kind.CONTIGUOUS)
    return history.text(Type.LABEL, "bar", serial=2).end().settle()


RESULTS = [
    told(result("a/leak", leaking()), lesson="A Drop that forgets."),
    result("a/clean", run().allocate(1, 0x1000).release(1, 0x1000).end().settle()),
    result("b/incomplete", run()),
]
PAGE = html_text(HOST, RESULTS)


def verdicts() -> list[Result]:
    """One of each verdict; what leaks here gave nothing to the CPU, and is faulty beyond doubt."""
    leak = run().allocate(1, 0x1000).end().settle()
    return [told(result("a/leak", leak), lesson="A Drop that forgets."), *RESULTS[1:]]


def shown(driver: Chrome) -> list[str]:
    buttons = driver.find_elements(By.CSS_SELECTOR, "tr.scenario button")
    return [button.text for button in buttons if button.is_displayed()]


def scenario(driver: Chrome, name: str) -> WebElement:
    (button,) = (
        one
        for one in driver.find_elements(By.CSS_SELECTOR, "tr.scenario button")
        if one.text == name
    )
    return button


def opened(driver: Chrome) -> WebElement:
    """What is told of a scenario, once it is unpacked."""
    there = presence_of_element_located((By.CSS_SELECTOR, "tr.detail"))
    return WebDriverWait(driver, 30).until(there)


def count(within: WebElement | Chrome, selector: str) -> int:
    return len(within.find_elements(By.CSS_SELECTOR, selector))


def test_a_scenario_is_drawn_when_it_is_opened(load: Open) -> None:
    driver = load(PAGE)
    assert count(driver, "svg") == 0
    scenario(driver, "a/leak").click()
    pictures = opened(driver).find_elements(By.TAG_NAME, "svg")
    lifetimes, memory = pictures
    # Two allocations, one of each kind; the leaked one goes on, open and marked.
    assert count(lifetimes, "rect.bar.pool") == count(lifetimes, "rect.bar.contiguous") == 1
    assert count(lifetimes, "rect.wrong.contiguous") == count(lifetimes, "path.open") == 1
    # The null free and the leak.
    assert count(lifetimes, "path.fault") == 2
    assert count(lifetimes, "path.entry") == 2
    assert count(lifetimes, "line.step") == 1
    assert count(memory, "rect.bar") == 2
    assert count(memory, "rect.looked") == 2
    wide = lifetimes.find_element(By.CSS_SELECTOR, "rect.pool").size["width"]
    assert wide > 3
    assert lifetimes.size["width"] <= 1300


def test_the_three_witnesses_stand_side_by_side(load: Open) -> None:
    driver = load(PAGE)
    scenario(driver, "a/leak").click()
    table = opened(driver).find_element(By.CSS_SELECTOR, "table.accounts")
    heads = [cell.text.split(":")[0] for cell in table.find_elements(By.TAG_NAME, "th")]
    assert heads == ["allocation", "ledger", "kernel", "memory"]
    assert "never released" in table.text
    assert "guard says live" in table.text


def test_hover_and_focus_tell_the_details(load: Open) -> None:
    driver = load(PAGE)
    scenario(driver, "a/leak").click()
    bar = opened(driver).find_element(By.CSS_SELECTOR, "svg rect.pool")
    ActionChains(driver).move_to_element(bar).perform()
    tip = driver.find_element(By.ID, "tip")
    assert tip.is_displayed()
    assert "foo: pool, 64 bytes" in tip.text
    driver.execute_script("document.querySelector('svg g[tabindex=\"0\"]').focus()")
    first = driver.switch_to.active_element.get_attribute("aria-label")
    driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    second = driver.switch_to.active_element.get_attribute("aria-label")
    assert first != second
    assert tip.text.split("\n")[0] in str(second)


def test_what_the_cpu_was_given_is_a_band_under_its_allocation(load: Open) -> None:
    driver = load(PAGE)
    scenario(driver, "a/leak").click()
    picture = opened(driver).find_element(By.TAG_NAME, "svg")
    band, _ = picture.find_elements(By.CSS_SELECTOR, "rect.band")
    bar = picture.find_element(By.CSS_SELECTOR, "rect.pool")
    # Given after the allocation and taken back before its release.
    assert bar.rect["x"] < band.rect["x"]
    assert band.rect["x"] + band.rect["width"] < bar.rect["x"] + bar.rect["width"]
    assert bar.rect["y"] + bar.rect["height"] <= band.rect["y"]
    other = picture.find_element(By.CSS_SELECTOR, "rect.wrong.contiguous")
    assert band.rect["y"] + band.rect["height"] <= other.rect["y"]
    ActionChains(driver).move_to_element(band).perform()
    tip = driver.find_element(By.ID, "tip")
    assert "L2 1 may use it: VMCB, rax at VMRUN" in tip.text
    assert "gpa 0x1000, 64 B" in tip.text


def test_bands_of_one_time_do_not_cover_each_other(load: Open) -> None:
    history = run().allocate(1, 0x1000, size=4096, kind=Kind.CONTIGUOUS)
    history.bind(1, 0x1000).operand(1, Structure.VMCB, 0x1000)
    history.bind(2, 0x1000).operand(2, Structure.VMCB, 0x1000)
    history.add(Type.UNBIND, serial=1)
    history.bind(3, 0x1000).operand(3, Structure.VMCB, 0x1000)
    driver = load(html_text(HOST, [result("a", history.end())]))
    scenario(driver, "a").click()
    bands = opened(driver).find_elements(By.CSS_SELECTOR, "svg rect.band")
    first, second, third = (band.rect for band in bands)
    assert second["y"] >= first["y"] + first["height"]
    # The third begins when the first is over, and stands in its row.
    assert third["y"] == first["y"]
    assert third["x"] > first["x"] + first["width"]


def test_names_of_steps_do_not_cover_each_other(load: Open) -> None:
    history = run().allocate(1, 0x1000)
    for number in range(3):
        history.text(Type.STEP, f"a long name, step {number}")
    history.add(Type.VMRUN, physical=0x5000).rows[-1]["time"] = 10**9
    driver = load(html_text(HOST, [result("a", history.end())]))
    scenario(driver, "a").click()
    labels = opened(driver).find_elements(By.CSS_SELECTOR, "svg text.shape")
    boxes = sorted((box.rect["y"], box.rect["x"], box.rect["width"]) for box in labels)
    assert len(boxes) == 3
    for (y, x, width), (next_y, next_x, _) in pairwise(boxes):
        assert y != next_y or x + width <= next_x


def test_search_and_filters(load: Open) -> None:
    driver = load(html_text(HOST, verdicts()))
    assert shown(driver) == ["a/leak", "a/clean", "b/incomplete"]
    search = driver.find_element(By.ID, "search")
    search.send_keys("forgets")
    assert shown(driver) == ["a/leak"]
    assert driver.find_element(By.ID, "shown").text == "1 of 3 shown"
    search.send_keys(Keys.ESCAPE)
    assert len(shown(driver)) == 3
    driver.find_element(By.CSS_SELECTOR, "#verdicts input[value=faulty]").click()
    assert shown(driver) == ["a/clean", "b/incomplete"]
    driver.find_element(By.ID, "unexpected").click()
    assert shown(driver) == ["b/incomplete"]
    driver.find_element(By.CSS_SELECTOR, "#verdicts input[value=faulty]").click()
    Select(driver.find_element(By.ID, "rule")).select_by_value("leak")
    assert shown(driver) == ["a/leak"]


def test_the_keyboard_is_enough(load: Open) -> None:
    driver = load(PAGE)
    keys = ActionChains(driver)
    keys.send_keys("/").send_keys("a/").send_keys(Keys.ARROW_DOWN).perform()
    assert driver.switch_to.active_element.text == "a/leak"
    keys = ActionChains(driver)
    keys.send_keys(Keys.ARROW_DOWN).send_keys(Keys.ENTER).perform()
    opened(driver)
    assert count(driver, "tr.detail") == 1
    assert driver.switch_to.active_element.get_attribute("aria-expanded") == "true"
    ActionChains(driver).send_keys(Keys.ESCAPE).perform()
    assert count(driver, "tr.detail") == 0
    assert driver.switch_to.active_element.text == "a/clean"


def test_the_axis_may_be_time_or_order_and_zooms(load: Open) -> None:
    driver = load(PAGE)
    scenario(driver, "a/leak").click()
    wide = opened(driver).find_element(By.TAG_NAME, "svg").size["width"]
    for button in ("axis: time", "+"):
        (one,) = (
            b for b in opened(driver).find_elements(By.TAG_NAME, "button") if b.text == button
        )
        one.click()
    picture = opened(driver).find_element(By.TAG_NAME, "svg")
    assert "event" in picture.text
    assert picture.size["width"] == 2 * wide


def test_light_and_dark(load: Open) -> None:
    driver = load(PAGE)
    grounds = []
    for _ in range(2):
        driver.find_element(By.ID, "theme").click()
        body = driver.find_element(By.TAG_NAME, "body")
        grounds.append(body.value_of_css_property("background-color"))
    light, dark = grounds
    assert light == "rgba(255, 255, 255, 1)"
    assert dark != light


@pytest.mark.parametrize("words", HOSTILE)
def test_words_of_the_guest_do_nothing(words: str, load: Open) -> None:
    history = run().allocate(1, 0x1000).text(Type.LABEL, words[:20], serial=1)
    history.text(Type.STEP, words[:20]).end().settle()
    one = told(result("a", history), name=words, section=words, lesson=words)
    driver = load(html_text({**HOST, "kernel": words}, [one]))
    driver.find_element(By.CSS_SELECTOR, "tr.scenario button").click()
    assert words.split("\u2028", 1)[0] in str(opened(driver).get_property("textContent"))
    assert driver.title.startswith("freeonce: ")
    assert count(driver, "img, tr.detail script") == 0


def test_a_picture_fits_a_narrow_window(load: Open) -> None:
    driver = load(PAGE)
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 480, "height": 800, "deviceScaleFactor": 1, "mobile": False},
    )
    try:
        button = scenario(driver, "b/incomplete")
        # Its name in one line.
        assert button.size["height"] < 30
        scenario(driver, "a/leak").click()
        opened(driver)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 480
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def many(number: int) -> list[Result]:
    one = RESULTS[0]
    return [told(one, name=f"many/{index}") for index in range(number)]


def keys(within: WebElement, number: int) -> list[str]:
    """What the legend of a picture explains."""
    tools = within.find_elements(By.CSS_SELECTOR, ".tools")[number]
    return [one.text for one in tools.find_elements(By.CSS_SELECTOR, ".key")]


def test_a_legend_explains_what_is_drawn_and_nothing_else(load: Open) -> None:
    history = run().allocate(1, 0x1000, kind=Kind.SLAB).release(1, 0x1000, kind=Kind.SLAB)
    driver = load(html_text(HOST, [RESULTS[0], result("b/slab", history.end().settle())]))
    scenario(driver, "a/leak").click()
    found = opened(driver)
    entries = ["VMRUN ▲ #VMEXIT ▼", "the CPU may use it", "violates a rule"]
    assert keys(found, 0) == ["pool", "contiguous", *entries]
    scenario(driver, "a/leak").click()
    scenario(driver, "b/slab").click()
    found = opened(driver)
    assert keys(found, 0)[:1] == ["slab"]
    assert not {"pool", "contiguous", *entries[:2]} & {*keys(found, 0), *keys(found, 1)}
    bar = found.find_element(By.CSS_SELECTOR, "svg rect.slab")
    assert bar.value_of_css_property("fill") != "rgb(107, 118, 132)"


def test_thousands_of_scenarios_wait_until_they_are_opened(load: Open) -> None:
    driver = load(html_text(HOST, many(5_000)))
    assert driver.find_element(By.ID, "shown").text == "5000 of 5000 shown"
    assert count(driver, "svg, tr.detail") == 0
    driver.find_element(By.ID, "search").send_keys("4999")
    (name,) = driver.execute_script(
        "return Array.from(document.querySelectorAll('tr.scenario:not([hidden]) button'),"
        " (one) => one.textContent)"
    )
    assert name == "many/4999"
    driver.find_element(By.CSS_SELECTOR, "tr.scenario:not([hidden]) button").click()
    assert count(opened(driver), "svg") == 2


def long_life(sites: int, lifetimes: int) -> Result:
    """A life with so many call sites, each of which acquires, releases and acquires again."""
    records = np.zeros(4 + 2 * lifetimes, RECORD)
    records["witness"], records["run"] = Witness.LEDGER, 1
    records["sequence"] = np.arange(1, len(records) + 1)
    records["time"] = records["sequence"].astype(np.uint64) * 1000
    records["type"][:2], records["witness"][1] = (Type.BEGIN, Type.WITNESS_ON), Witness.KERNEL
    records["type"][-2:] = Type.END, Type.SETTLED
    two = records[2:-2].reshape(lifetimes, 2)
    numbers = np.arange(lifetimes)
    for column, kind in enumerate((Type.ALLOCATE, Type.RELEASE)):
        two["type"][:, column], two["kind"][:, column] = kind, Kind.SLAB
        two["serial"][:, column] = numbers + 1
        two["pointer"][:, column] = 64 * (numbers + 1)
        two["size"][:, column], two["site"][:, column] = 32 + numbers % 7, 1 + numbers % sites
    # The last hundred stay.
    two["type"][-100:, 1] = Type.LABEL
    judgement = result("a/clean", run().end().settle()).judgement
    about = Scenario(0, "a/long", "S", "C", None, "Long.", ())
    return Result(about, judgement, True, {}, 1.0, evidence=Evidence(records))


@pytest.mark.long
def test_a_life_of_a_million_allocations_is_a_page_of_bounded_size(load: Open) -> None:
    spots = np.random.default_rng(1).integers(1, 1 << 40, 100_000)
    frames = {
        site: Frame(f"take_{spot:x}", 0, "long", f"long/file_{spot % 997}.c", int(spot % 9_999))
        for site, spot in enumerate(spots, 1)
    }
    places = Everywhere(otherwise={site: Place(one, (one,)) for site, one in frames.items()})
    page = html_text(HOST, [long_life(100_000, 1_000_000)], places=places)
    assert len(page) < 8 << 20
    driver = load(page)
    scenario(driver, "a/long").click()
    detail = opened(driver)
    live = detail.find_element(By.CSS_SELECTOR, "svg[aria-label^=live]")
    assert count(live, "path.bar.slab") == 1
    assert count(live, "rect.hover") == 40
    assert live.size["width"] <= 1300
    table = detail.find_element(By.CSS_SELECTOR, ".sites")
    assert count(table, ".sites tbody tr") == 200
    assert table.find_element(By.TAG_NAME, "output").text == "200 of 100000 shown"
    table.find_elements(By.CSS_SELECTOR, "button")[-1].click()
    assert count(table, ".sites tbody tr") == 400
    one = frames[77_777]
    table.find_element(By.TAG_NAME, "input").send_keys(one.function)
    (row,) = table.find_elements(By.CSS_SELECTOR, ".sites tbody tr")
    assert row.find_elements(By.TAG_NAME, "td")[0].text == f"{one.function} {one.file}:{one.line}"


def test_call_sites_are_sorted_and_found(load: Open) -> None:
    driver = load(html_text(HOST, [long_life(700, 1_400)]))
    scenario(driver, "a/long").click()
    table = opened(driver).find_element(By.CSS_SELECTOR, ".sites")

    def column(number: int) -> list[int]:
        cells = table.find_elements(By.CSS_SELECTOR, f"tbody td:nth-child({number})")
        return [int(cell.text) for cell in cells]

    most = column(6)
    assert most == sorted(most, reverse=True)
    heads = table.find_elements(By.CSS_SELECTOR, "th button")
    heads[3].click()
    assert column(4)[0] == 2
    heads[3].click()
    assert column(4)[0] == 1, "a hundred of the last 1,400 were not released"
    find = table.find_element(By.TAG_NAME, "input")
    find.send_keys("vmalloc")
    assert count(table, ".sites tbody tr") == 0
    find.clear()
    find.send_keys("slab")
    assert count(table, ".sites tbody tr") == 200
