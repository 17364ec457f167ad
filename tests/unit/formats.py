"""Stores of formats that are not written any more."""

import json
import sqlite3
from pathlib import Path

from freeonce.campaign.store import FILE

SINCE = ("qemu", "tools", "folder")
"""What bodies of tasks did not have."""


def without_plan(folder: Path) -> Path:
    """The store as the format 1 had it: with bodies of `--accel auto`, and what it took only in the
    result.
    """
    connection = sqlite3.connect(folder / FILE)
    rows = connection.execute("select key, task, document from results").fetchall()
    for key, task, document in rows:
        body, whole = json.loads(task), json.loads(document)
        ran = {"accelerator": body.get("accel", "tcg"), **whole.get("host", {})}
        before = {name: value for name, value in body.items() if name not in SINCE}
        words = json.dumps(before | {"accel": "auto"}), json.dumps(whole | {"host": ran}), key
        connection.execute("update results set task = ?, document = ? where key = ?", words)
    connection.commit()
    connection.executescript("drop table plan; pragma user_version = 1; vacuum")
    connection.close()
    return folder
