"""TLS on TCP and WebSocket, and certificates that are none."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trustme
from websockets.asyncio.client import connect

from server.config import ConfigError
from server.listeners import tls_context
from server.native import DATA, OK, PING, PONG, QUERY, UPDATE, WATCH
from tests.server.fakes import House, bytes_of, within

MakeHouse = Callable[..., Awaitable[House]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("127.0.0.1", "localhost")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(certificate, append=True)
    issued.private_key_pem.write_to_path(key)
    return certificate, key


@pytest.fixture
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_packages_over_tls(house_with: MakeHouse, files: tuple[Path, Path], client_tls: ssl.SSLContext) -> None:
    house = await house_with(tls_cert=files[0], tls_key=files[1])
    client = await house.tcp(tls=client_tls)
    assert await client.request(QUERY, ["@t", "1+1"]) == (DATA, 2)
    assert (await client.request(QUERY, ["@t", f"bytes {3 << 20}"]))[1] == b"x" * (3 << 20)
    assert await client.request(WATCH, ["//stuff"]) == (OK, None)
    client.send(bytes_of(QUERY, ["@t", "say x"]), bytes_of(PING))
    assert [(await client.read())[1] for _ in range(3)] == [UPDATE, DATA, PONG]
    client.send(b"\x00" * 8)
    assert await client.closed() == b""


async def test_json_and_the_pages_over_tls(
    house_with: MakeHouse, files: tuple[Path, Path], client_tls: ssl.SSLContext
) -> None:
    house = await house_with(tls_cert=files[0], tls_key=files[1])
    async with connect(f"wss://localhost:{house.config.ws_port}/", ssl=client_tls) as socket:
        await socket.send('{"jsonrpc": "2.0", "id": 1, "method": "ping"}')
        assert json.loads(await within(socket.recv()))["result"] == "pong"
    reader, writer = await asyncio.open_connection("127.0.0.1", house.config.ws_port, ssl=client_tls)
    writer.write(b"GET /livethings.js HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await within(reader.read(-1))).startswith(b"HTTP/1.1 200 OK\r\n")
    assert house.listeners.page == f"https://127.0.0.1:{house.config.ws_port}/"
    assert "(TLS)" in str(house.listeners)


async def test_a_client_without_tls_gets_nothing_and_harms_nobody(
    house_with: MakeHouse, files: tuple[Path, Path], client_tls: ssl.SSLContext
) -> None:
    house = await house_with(tls_cert=files[0], tls_key=files[1])
    plain = await house.tcp(login=False)
    plain.send(bytes_of(PING))
    await plain.closed()
    client = await house.tcp(tls=client_tls)
    assert await client.request(PING) == (PONG, None)


def test_files_that_are_no_certificate_and_key(files: tuple[Path, Path], tmp_path: Path) -> None:
    certificate, key = files
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(other)
    with pytest.raises(ConfigError, match=r"nothing.pem of --tls-cert can't be read: No such file"):
        tls_context(tmp_path / "nothing.pem", key)
    with pytest.raises(ConfigError, match=r"nothing.pem of --tls-key can't be read: No such file"):
        tls_context(certificate, tmp_path / "nothing.pem")
    for pair in ((junk, key), (certificate, junk), (certificate, other)):
        with pytest.raises(ConfigError, match=r"are no certificate and its key"):
            tls_context(*pair)
    tls_context(certificate, key)
