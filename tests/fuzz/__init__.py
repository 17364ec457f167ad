"""Fuzzing of everything that reads from the guest, to judged and written reports.

`targets` are plain functions of bytes; `python -m tests.fuzz` drives them by coverage with
atheris, and tests/unit runs each file of the corpus through its target.
"""
