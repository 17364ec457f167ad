"""The page of a campaign, served while it runs."""

import http.client
import socket
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest

from freeonce.campaign import pages
from freeonce.campaign.pages import served
from freeonce.campaign.store import Kept, writing
from freeonce.campaign.summary import Summary, summary
from freeonce.cli.options import Address
from freeonce.errors import HostError
from tests.unit.test_store import CLEAN, task

ANY = ("127.0.0.1", 0)


def asked(
    address: str, path: str = "/", method: str = "GET", host: str | None = None
) -> tuple[int, str]:
    parts = urlsplit(address)
    line = http.client.HTTPConnection(str(parts.hostname), int(parts.port or 0), timeout=30)
    try:
        line.request(method, path, headers={} if host is None else {"Host": host})
        answer = line.getresponse()
        return answer.status, answer.read().decode()
    finally:
        line.close()


def test_what_is_there_is_shown_and_each_result_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def counted(one: Kept) -> Summary:
        read.append(one.number)
        return summary(one)

    monkeypatch.setattr(pages, "summary", counted)
    monkeypatch.setattr(pages, "RESTS", 0)
    with served(tmp_path / "store", ANY) as address:
        assert asked(address)[0] == 503
        with writing(tmp_path / "store") as store:
            store.add(task(1), CLEAN)
            assert "1 results" in asked(address)[1]
            store.add(task(2), CLEAN)
            status, text = asked(address)
    assert status == 200
    assert "2 results" in text
    assert 'http-equiv="refresh"' in text
    assert read == [1, 2]


def test_what_a_new_plan_does_not_mean_is_not_shown_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "RESTS", 0)
    with writing(tmp_path) as store, served(tmp_path, ANY) as address:
        for number in (1, 2):
            store.add(task(number), CLEAN)
        assert "2 results" in asked(address)[1]
        store.plan([task(2), task(3), task(4)])
        text = asked(address)[1]
    assert "1 results" in text
    assert "1 results of before" in text
    assert "2 of the plan are not there yet" in text


def test_who_asks_often_does_not_keep_the_machine_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def counted(results: list[Summary], *_: Any, **__: Any) -> str:
        made.append(len(results))
        return f"{len(results)} results"

    monkeypatch.setattr(pages, "page", counted)
    monkeypatch.setattr(pages, "RESTS", 1e9)
    with served(tmp_path, ANY) as address, writing(tmp_path) as store:
        for number in range(5):
            store.add(task(number), CLEAN)
            asked(address)
    assert made == [1]


@pytest.mark.parametrize(("path", "method"), [("/x", "GET"), ("/../etc", "GET"), ("/", "POST")])
def test_there_is_nothing_but_the_page(tmp_path: Path, path: str, method: str) -> None:
    with served(tmp_path, ANY) as address:
        assert asked(address, path, method)[0] in (404, 501)


def test_who_asks_only_for_the_head_gets_no_more(tmp_path: Path) -> None:
    with writing(tmp_path):
        pass
    with served(tmp_path, ANY) as address:
        assert asked(address, method="HEAD") == (200, "")
        assert asked(address, "/x", "HEAD") == (404, "")


STRANGE = ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "10.0.0.1", "", "[::1"]


@pytest.mark.parametrize("host", STRANGE)
def test_a_page_of_elsewhere_does_not_read_what_is_for_this_machine(
    tmp_path: Path, host: str
) -> None:
    """Its name leads here all of a sudden (DNS rebinding), and stands in the header."""
    with writing(tmp_path), served(tmp_path, ANY) as address:
        status, said = asked(address, host=host)
        assert status == 421
        assert "results" not in said


NAMES = [None, "localhost:9000", "LOCALHOST", "127.0.0.1", "[::1]:9000", "[::ffff:7f00:1]:1"]


@pytest.mark.parametrize("host", NAMES)
def test_this_machine_may_be_called_by_its_names_and_through_a_tunnel(
    tmp_path: Path, host: str | None
) -> None:
    with writing(tmp_path), served(tmp_path, ANY) as address:
        assert asked(address, host=host)[0] == 200


@pytest.mark.parametrize("at", ["127.0.0.2", "::ffff:127.0.0.1", "::FFFF:7f00:1"])
def test_this_machine_alone_has_more_addresses_than_one(tmp_path: Path, at: str) -> None:
    with writing(tmp_path), served(tmp_path, (at, 0)) as address:
        assert asked(address, host="evil.example")[0] == 421
        assert asked(address)[0] == 200


def test_who_listens_beyond_this_machine_may_be_called_by_any_name(tmp_path: Path) -> None:
    with writing(tmp_path), served(tmp_path, ("0.0.0.0", 0)) as address:
        assert asked(address.replace("0.0.0.0", "127.0.0.1"), host="builds.example")[0] == 200


def test_who_says_nothing_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "SILENT_SECONDS", 0.2)
    with served(tmp_path, ANY) as address:
        parts = urlsplit(address)
        with socket.create_connection((str(parts.hostname), int(parts.port or 0)), 30) as line:
            assert line.recv(1) == b""


def test_who_takes_nothing_is_let_go_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pages, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(pages, "page", lambda *_, **__: "x" * (64 << 20))
    let_go = threading.Event()
    monkeypatch.setattr(pages._Server, "shutdown_request", lambda *_: let_go.set())
    with writing(tmp_path), served(tmp_path, ANY) as address:
        parts = urlsplit(address)
        with socket.create_connection((str(parts.hostname), int(parts.port or 0)), 30) as line:
            line.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
            assert let_go.wait(30)
    assert capsys.readouterr().err == ""


def test_who_takes_little_at_a_time_gets_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "SILENT_SECONDS", 1.0)
    size = 12 << 20
    monkeypatch.setattr(pages, "page", lambda *_, **__: "x" * size)
    got, begin = b"", time.monotonic()
    with writing(tmp_path), served(tmp_path, ANY) as address, socket.socket() as line:
        # As of a client far away: what the kernels hold does not hide how slow it is.
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        line.settimeout(30)
        parts = urlsplit(address)
        line.connect((str(parts.hostname), int(parts.port or 0)))
        line.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        while more := line.recv(1 << 14):
            got += more
            time.sleep(0.005)
    assert len(got) > size
    assert time.monotonic() - begin > 2 * pages.SILENT_SECONDS


def test_nobody_listens_when_it_is_over(tmp_path: Path) -> None:
    with served(tmp_path, ANY) as address:
        pass
    with pytest.raises(OSError, match="refused"):
        asked(address)


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with (
        socket.create_server(ANY) as taken,
        pytest.raises(HostError, match=r"cannot listen at 127\.0\.0\.1:") as caught,
        served(tmp_path, ("127.0.0.1", taken.getsockname()[1])),
    ):
        pass
    assert caught.value.reason == "no-page"


@pytest.mark.parametrize(
    ("text", "address"),
    [("8000", ("127.0.0.1", 8000)), ("0.0.0.0:80", ("0.0.0.0", 80)), ("[::1]:0", ("::1", 0))],
)
def test_only_who_says_so_listens_beyond_this_machine(text: str, address: tuple[str, int]) -> None:
    assert Address().convert(text, None, None) == address


@pytest.mark.parametrize("text", ["", "x", "host:", "70000", "host:-1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(click.UsageError, match="is no address"):
        Address().convert(text, None, None)
