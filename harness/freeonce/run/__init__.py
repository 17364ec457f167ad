"""Scenarios chosen, run by a crew, and each run heard by its witnesses and judged."""
