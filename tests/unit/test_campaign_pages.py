"""The page of a campaign, served while it runs."""

import http.client
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest

from freeonce.campaign import pages
from freeonce.campaign.overview import Told, told
from freeonce.campaign.pages import served
from freeonce.campaign.store import Kept, writing
from freeonce.cli.options import Address
from freeonce.errors import HostError
from tests.unit.test_store import CLEAN, task

ANY = ("127.0.0.1", 0)


def asked(address: str, path: str = "/", method: str = "GET") -> tuple[int, str]:
    parts = urlsplit(address)
    line = http.client.HTTPConnection(str(parts.hostname), int(parts.port or 0), timeout=30)
    try:
        line.request(method, path)
        answer = line.getresponse()
        return answer.status, answer.read().decode()
    finally:
        line.close()


def test_what_is_there_is_shown_and_each_result_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def counted(one: Kept) -> Told:
        read.append(one.number)
        return told(one)

    monkeypatch.setattr(pages, "told", counted)
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


def test_who_asks_often_does_not_keep_the_machine_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def counted(results: list[Told], *_: Any, **__: Any) -> str:
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
