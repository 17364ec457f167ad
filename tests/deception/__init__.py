"""Deception: one record of a faulty run is changed, and the verdict must not become clean.

`make deception` tries every change of every planted fault; tests/unit has a sample of them.
"""
