"""The example is a project of its own: test_plugin.py runs it."""

import pytest
from hypothesis import settings

collect_ignore = ["example"]

# How long one example takes is the machine's business: others may be at work on it.
settings.register_profile("freeonce", deadline=None)
settings.load_profile("freeonce")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Raises UsageError when pytest-xdist cannot group tests: what they share is made anew."""
    grouped = [one for one in items if one.get_closest_marker("xdist_group")]
    if config.getoption("loadgroup", False) and not all("@" in one.nodeid for one in grouped):
        raise pytest.UsageError(f"pytest-xdist groups no tests with pytest {pytest.__version__}")
