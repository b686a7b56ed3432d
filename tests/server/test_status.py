"""The status pages of the HTTP port."""

from __future__ import annotations

import asyncio

import pytest

from server.status import MAX_HEAD, answer
from tests.server.fakes import House, within


def body(reply: bytes) -> tuple[bytes, bytes]:
    head, _, text = reply.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(text)}".encode() in head
    assert b"Content-Type: text/plain" in head
    return head.split(b" ", 2)[1], text


@pytest.mark.parametrize(
    ("line", "status", "expected"),
    [
        ("GET /healthy", "READY", (b"200", b"OK\n")),
        ("GET /healthy", "SYNCHRONIZING", (b"200", b"OK\n")),
        ("GET /ready", "READY", (b"200", b"OK\n")),
        ("GET /ready", "AWAY", (b"200", b"OK\n")),
        ("GET /ready", "AWAY_SOON", (b"200", b"OK\n")),
        ("GET /ready", "SYNCHRONIZING", (b"503", b"NOK\n")),
        ("GET /ready", "SHUTTING_DOWN", (b"503", b"NOK\n")),
        ("GET /status", "READY", (b"200", b"READY\n")),
        ("GET /", "OFFLINE", (b"200", b"OFFLINE\n")),
        ("GET /Ready", "READY", (b"404", b"NOT FOUND\n")),
        ("GET /ready?x", "READY", (b"404", b"NOT FOUND\n")),
        ("GET //", "READY", (b"404", b"NOT FOUND\n")),
        ("POST /ready", "READY", (b"405", b"METHOD NOT ALLOWED\n")),
        ("HEAD /nothing", "READY", (b"405", b"METHOD NOT ALLOWED\n")),
    ],
)
def test_answers(line: str, status: str, expected: tuple[bytes, bytes]) -> None:
    assert body(answer(f"{line} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), status)) == expected


@pytest.mark.parametrize("head", [b"", b"junk\r\n\r\n", b"GET /\r\n\r\n", b"GET / FTP/1.0\r\n\r\n", b"a b c d\r\n\r\n"])
def test_what_is_no_http(head: bytes) -> None:
    assert body(answer(head, "READY"))[0] == b"400"


async def ask(house: House, *chunks: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.config.http_port)
    for chunk in chunks:
        writer.write(chunk)
        await asyncio.sleep(0)
    answer = await within(reader.read(-1))
    writer.close()
    return answer


async def test_over_a_socket(house: House) -> None:
    assert (await ask(house, b"GET /rea", b"dy HTTP/1.0\r\n", b"\r\n")).endswith(b"\r\n\r\nOK\n")
    house.core.announce("SHUTTING_DOWN")
    assert (await ask(house, b"GET /status HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\nSHUTTING_DOWN\n")
    assert (await ask(house, b"GET /" + b"x" * MAX_HEAD)).startswith(b"HTTP/1.1 400 ")
