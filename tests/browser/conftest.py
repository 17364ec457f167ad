"""A real Chromium, as the distribution ships it. A missing one fails with what to do."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

# Nothing of its own over the network, nothing of another run.
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--window-size=1300,900"),
)

Open = Callable[[str], webdriver.Chrome]


def program(*names: str) -> str:
    """Where a program is. Fails, and does not skip, when it is not there."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail(f"{names[0]} is not installed; 'ci/install-deps test' or 'make test' does it")
    return found


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium", "chromium-browser", "google-chrome")
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(program("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture
def load(browser: webdriver.Chrome, tmp_path: Path) -> Iterator[Open]:
    """Shows a page; afterwards the console must have nothing to say."""
    file = tmp_path / "report.html"

    def load(page: str) -> webdriver.Chrome:
        file.write_text(page, encoding="utf-8")
        browser.get(file.as_uri())
        return browser

    yield load
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]
