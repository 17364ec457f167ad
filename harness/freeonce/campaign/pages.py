"""A store's page over HTTP, made of what is there when somebody asks."""

import ipaddress
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from freeonce.beside import beside
from freeonce.campaign.overview import page
from freeonce.campaign.store import reading
from freeonce.campaign.summary import Summary, summary
from freeonce.errors import FreeonceError, HostError

ANEW_SECONDS = 30
"""After which a browser asks again."""
RESTS = 10
"""Times that it took to make a page, in which none is made."""
SILENT_SECONDS = 30.0
"""After which a client that says nothing, or takes nothing, is let go."""
PIECE = 1 << 16
"""Bytes that wait for a client; one that takes some of them in time is waited for."""


@contextmanager
def served(folder: Path, at: tuple[str, int]) -> Iterator[str]:
    """Serve until it is left; the page's address. `at`: host and port, 0 for any.

    Raises HostError `no-page` when nobody may listen there.
    """
    pages = _Pages(folder)

    class Handler(_Handler):
        made = staticmethod(pages.page)
        timeout = SILENT_SECONDS

    try:
        server = _Server(at, Handler)
    except (OSError, UnicodeError) as error:
        raise HostError("no-page", f"cannot listen at {at[0]}:{at[1]}: {error}") from error
    with server, beside(server.serve_forever, server.shutdown):
        host = f"[{at[0]}]" if ":" in at[0] else at[0]
        yield f"http://{host}:{server.server_address[1]}/"


class _Server(ThreadingHTTPServer):
    def __init__(self, at: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in at[0] else socket.AF_INET
        super().__init__(at, handler)
        # Else the kernel takes megabytes, and has room for more when a third of them is gone.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIECE)
        alone = _is_loopback(str(self.server_address[0]))
        self._names = {at[0].lower(), "localhost"} if alone else None

    def means_us(self, host: str) -> bool:
        """Whether somebody who asks for this host (a header's) may mean this server.

        A page of elsewhere whose name leads here all of a sudden is of another host, and could
        read what only this machine may see. Its port tells nothing: a tunnel has one of its own.
        """
        if self._names is None:
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._names or _is_loopback(name)

    def handle_error(self, *of: Any) -> None:
        """Who goes away while he is answered, or is too slow, is nobody's business."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(*of)


def _is_loopback(host: str) -> bool:
    """Whether it is an address of this machine alone, in whichever of its spellings."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # Of ::ffff:127.0.0.1 Python says so only since 3.13.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


class _Pages:
    """Each result is read once, however often the page is asked for, and a page is made again only
    when there is more, and never for more than a tenth of the time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last = 0
        self._planned: set[str] = set()
        self._told: dict[str, Summary] = {}
        self._page = ""
        self._rested = 0.0
        self._lock = threading.Lock()

    def page(self) -> str:
        """Raises FreeonceError where there is no store."""
        with self._lock:
            begin = time.monotonic()
            if self._page and begin < self._rested:
                return self._page
            if self._read() or not self._page:
                self._page = self._drawn()
                end = time.monotonic()
                self._rested = end + RESTS * (end - begin)
            return self._page

    def _read(self) -> bool:
        """What is new in the store; whether anything is."""
        before = self._last, self._planned
        with reading(self._folder) as store:
            self._planned = store.planned()
            for number, kept in store.numbered(self._last):
                self._told[kept.key] = summary(kept)
                self._last = number
        return (self._last, self._planned) != before

    def _drawn(self) -> str:
        shown = [one for key, one in self._told.items() if key in self._planned]
        return page(
            shown,
            self._folder.name,
            anew=ANEW_SECONDS,
            of_before=len(self._told) - len(shown),
            awaited=len(self._planned) - len(shown),
        )


class _Handler(BaseHTTPRequestHandler):
    made: Any
    server: _Server

    def do_GET(self) -> None:
        """The page is all that there is."""
        if not self.server.means_us(self.headers.get("Host", "")):
            self.send_error(421)
            return
        if self.path != "/":
            self.send_error(404)
            return
        try:
            body = self.made().encode()
        except FreeonceError as error:
            self.send_error(503, explain=str(error))
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            left = memoryview(body)
            while left:
                # Not all at once: that has one timeout for the whole.
                left = left[self.connection.send(left[:PIECE]) :]

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Who asks is nobody's business."""
