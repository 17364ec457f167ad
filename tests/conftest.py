"""The example is a project of its own: test_plugin.py runs it."""

collect_ignore = ["example"]
