"""Hosts of a test: network namespaces with addresses of their own, on one switch."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


def obstacle() -> str | None:
    """Why this host can have no such hosts; None when it can."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    if shutil.which("ip") is None:
        return "there is no ip(8)"
    name = f"freeonce-{secrets.token_hex(4)}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"ip netns add: {made.stderr.strip()}"
    _ip("netns", "del", name)
    return None


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@dataclass(frozen=True)
class Network:
    """`mark`: how the names of its namespaces begin."""

    mark: str
    hosts: tuple[str, ...]

    def address(self, host: str) -> str:
        return f"10.77.0.{self.hosts.index(host) + 1}"

    def on(self, host: str) -> Sequence[str]:
        """What stands before a program's words, so that it runs there."""
        return ("ip", "netns", "exec", f"{self.mark}-{host}")

    def cut(self, host: str) -> None:
        """Its cable is pulled at the switch: the host does not see it."""
        _ip("-n", f"{self.mark}-switch", "link", "set", host, "down")

    def join(self, host: str) -> None:
        """It is put back."""
        _ip("-n", f"{self.mark}-switch", "link", "set", host, "up")


@contextmanager
def network(*hosts: str) -> Iterator[Network]:
    """Gone when it is left, with all that is in it."""
    made = Network(f"freeonce-{secrets.token_hex(4)}", hosts)
    spaces = [f"{made.mark}-{host}" for host in (*hosts, "switch")]
    switch = spaces[-1]
    try:
        for space in spaces:
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for host, space in zip(hosts, spaces, strict=False):
            cable = ("type", "veth", "peer", "name", "eth", "netns", space)
            _ip("-n", switch, "link", "add", host, *cable)
            _ip("-n", switch, "link", "set", host, "master", "bridge", "up")
            _ip("-n", space, "address", "add", f"{made.address(host)}/24", "dev", "eth")
            _ip("-n", space, "link", "set", "eth", "up")
        yield made
    finally:
        for space in spaces:
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)
