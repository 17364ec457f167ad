"""A store's page over HTTP, made of what is there when somebody asks."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from freeonce.campaign.overview import Told, page, told
from freeonce.campaign.store import reading
from freeonce.errors import FreeonceError, HostError

ANEW_SECONDS = 30
"""After which a browser asks again."""
RESTS = 10
"""Times that it took to make a page, in which none is made."""


@contextmanager
def served(folder: Path, at: tuple[str, int]) -> Iterator[str]:
    """Serve until it is left; the page's address. `at`: host and port, 0 for any.

    Raises HostError `no-page` when nobody may listen there.
    """
    pages = _Pages(folder)

    class Handler(_Handler):
        made = staticmethod(pages.page)

    try:
        server = _Server(at, Handler)
    except (OSError, UnicodeError) as error:
        raise HostError("no-page", f"cannot listen at {at[0]}:{at[1]}: {error}") from error
    with server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            host = f"[{at[0]}]" if ":" in at[0] else at[0]
            yield f"http://{host}:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    def __init__(self, at: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in at[0] else socket.AF_INET
        super().__init__(at, handler)


class _Pages:
    """Each result is read once, however often the page is asked for, and a page is made again only
    when there is more, and never for more than a tenth of the time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last = 0
        self._told: list[Told] = []
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
                self._page = page(self._told, self._folder.name, anew=ANEW_SECONDS)
                end = time.monotonic()
                self._rested = end + RESTS * (end - begin)
            return self._page

    def _read(self) -> bool:
        """What is new in the store; whether anything is."""
        before = self._last
        with reading(self._folder) as store:
            for number, kept in store.numbered(before):
                self._told.append(told(kept))
                self._last = number
        return self._last > before


class _Handler(BaseHTTPRequestHandler):
    made: Any

    def do_GET(self) -> None:
        """The page is all that there is."""
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
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Who asks is nobody's business."""
