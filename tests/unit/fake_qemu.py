#!/usr/bin/env python3
"""Stands in for the outer machine's QEMU: QMP, a console, and an init that does as told.

What to do is in $FAKE: words that it does in order.
"""

import json
import os
import re
import socket
import sys
import time
from pathlib import Path


def listening(name: str) -> socket.socket:
    (path,) = (
        found[1]
        for found in (re.match(rf"socket,id={name},path=([^,]+),", one) for one in sys.argv)
        if found
    )
    server = socket.socket(socket.AF_UNIX)
    # Under its name only when it listens, as QMP's client takes what exists for ready.
    server.bind(path + ".new")
    server.listen()
    Path(path + ".new").rename(path)
    return server


def scratch() -> Path:
    (share,) = (one for one in sys.argv if "mount_tag=scratch" in one)
    return Path(share.split(",")[1].removeprefix("path="))


def serve_until_cont(line: socket.socket) -> None:
    version = {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": ""}
    send(line, {"QMP": {"version": version, "capabilities": []}})
    text = ""
    while data := line.recv(4096):
        text += data.decode()
        try:
            # Requests come one at a time, without an end of line.
            asked = json.loads(text)
        except ValueError:
            continue
        text = ""
        send(line, {"return": {}, "id": asked.get("id")})
        if asked["execute"] == "cont":
            return


def send(line: socket.socket, message: dict[str, object]) -> None:
    line.sendall(json.dumps(message).encode() + b"\n")


def main() -> None:
    talk = listening("console")
    monitor, _ = listening("qmp").accept()
    serve_until_cont(monitor)
    console, _ = talk.accept()
    for word in os.environ["FAKE"].split():
        name, _, value = word.partition("=")
        match name:
            case "say":
                console.sendall(value.encode() + b"\r\n")
            case "status":
                (scratch() / "status").write_text(f"exit {value}\n")
            case "garble":
                (scratch() / "status").write_text(value)
            case "clocks":
                # A file with how many boots will still misjudge it.
                left = int(Path(value).read_text())
                Path(value).write_text(str(left - 1))
                (scratch() / "status").write_text("clock\n" if left > 0 else "exit 0\n")
            case "file":
                (scratch() / "run.json").write_text(value)
            case "do":
                console.sendall((scratch() / "command").read_bytes())
            case "hang":
                time.sleep(60)
            case "crash":
                sys.exit("failed to emulate")


if __name__ == "__main__":
    main()
