"""The status pages, and what is asked of no path."""

from __future__ import annotations

import pytest

from tests.http.conftest import Serve, Server


@pytest.mark.parametrize(
    ("line", "status", "expected"),
    [
        ("GET /healthy", "READY", (200, "OK\n")),
        ("GET /healthy", "SYNCHRONIZING", (200, "OK\n")),
        ("GET /ready", "READY", (200, "OK\n")),
        ("GET /ready", "AWAY", (200, "OK\n")),
        ("GET /ready", "AWAY_SOON", (200, "OK\n")),
        ("GET /ready", "SYNCHRONIZING", (503, "NOK\n")),
        ("GET /ready", "SHUTTING_DOWN", (503, "NOK\n")),
        ("GET /status", "READY", (200, "READY\n")),
        ("GET /status", "OFFLINE", (200, "OFFLINE\n")),
        ("GET /Ready", "READY", (404, "NOT FOUND\n")),
        ("GET /ready?x", "READY", (404, "NOT FOUND\n")),
        ("GET /%72eady", "READY", (404, "NOT FOUND\n")),
        ("POST /ready", "READY", (405, "METHOD NOT ALLOWED\n")),
        ("PUT /status", "READY", (405, "METHOD NOT ALLOWED\n")),
    ],
)
async def test_status_pages(server: Server, line: str, status: str, expected: tuple[int, str]) -> None:
    server.core.status = status
    method, path = line.split()
    reply = await server.client(auth=None).request(method, path)
    assert (reply.status_code, reply.text) == expected
    assert reply.headers["content-type"] == "text/plain"
    assert reply.headers["content-length"] == str(len(expected[1]))
    assert (reply.headers.get("connection") == "close") == (expected[0] in (200, 503))
    assert "date" in reply.headers
    assert reply.headers.get("allow") == ("GET" if expected[0] == 405 else None)


async def test_the_page_names_server_and_version(server: Server) -> None:
    reply = await server.client(auth=None).get("/")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/html")
    assert "Livethings 0.1.0" in reply.text and "READY" in reply.text
    assert "default-src 'none'" in reply.headers["content-security-policy"]


async def test_before_the_store_is_loaded(serve: Serve) -> None:
    server = await serve()
    server.http.core = None
    client = server.client()
    assert (await client.get("/healthy")).status_code == 200
    assert (await client.get("/metrics")).status_code == 200
    assert (await client.get("/openapi.json")).status_code == 200
    reply = await client.post(f"{server.url}//stuff", json={"type": "query", "code": "1"})
    assert (reply.status_code, reply.text) == (503, "SERVICE UNAVAILABLE\r\n")


async def test_http_1_0(server: Server) -> None:
    reply = await server.raw(b"GET /rea", b"dy HTTP/1.0\r\n", b"\r\n")
    assert reply.startswith(b"HTTP/1.1 200 OK\r\n") and reply.endswith(b"\r\n\r\nOK\n")


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\n\r\n", b"junk\r\n\r\n", b"GET /\r\n\r\n", b"GET / FTP/1.0\r\n\r\n", b"a b c d\r\n\r\n",
        b"GET /ready HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET /ready HTTP/1.1\r\n\r\n",
        b"POST /t HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /t HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /" + b"x" * (64 << 10),
    ],
)  # fmt: skip
async def test_what_is_no_http_ends_the_connection(serve: Serve, head: bytes) -> None:
    server = await serve(http_time=1.0)
    reply = await server.raw(head)
    assert reply == b"" or reply.startswith(b"HTTP/1.1 400 ")
