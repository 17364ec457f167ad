"""Stores of formats that are not written any more."""

import sqlite3
from pathlib import Path

from freeonce.campaign.store import FILE


def without_plan(folder: Path) -> Path:
    """The store as the format 1 had it."""
    connection = sqlite3.connect(folder / FILE)
    connection.executescript("drop table plan; pragma user_version = 1; vacuum")
    connection.close()
    return folder
