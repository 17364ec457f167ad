"""The example is a project of its own: test_plugin.py runs it."""

from hypothesis import settings

collect_ignore = ["example"]

# How long one example takes is the machine's business: others may be at work on it.
settings.register_profile("freeonce", deadline=None)
settings.load_profile("freeonce")
