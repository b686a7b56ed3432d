"""HTTP as part of a server process: over its start, its stop, and a kill."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from tests.http.conftest import LOGIN, Serve
from tests.serving import Server


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.stop(signal.SIGKILL)


async def write(process: Server, acknowledged: list[int]) -> None:
    """Write numbers, one after the other, until the server does not answer any more."""
    async with httpx.AsyncClient(auth=LOGIN, trust_env=False) as client:
        for number in range(100_000):
            try:
                body = {"type": "query", "code": ".n = n", "vars": {"n": number}}
                reply = await client.post(f"http://127.0.0.1:{process.http}//stuff", json=body)
            except httpx.TransportError:
                return
            if reply.status_code != 200:
                assert (reply.status_code, reply.text) == (503, "SERVICE UNAVAILABLE\r\n")
                return
            acknowledged.append(number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_what_was_answered_is_kept(process: Server, number: int) -> None:
    acknowledged: list[int] = []
    writing = asyncio.create_task(write(process, acknowledged))
    while len(acknowledged) < 50:
        await asyncio.sleep(0.001)
    process.send(number)
    await writing
    status = await asyncio.get_running_loop().run_in_executor(None, process.stop)
    assert status == (0 if number == signal.SIGTERM else -number)
    process.start()
    async with httpx.AsyncClient(auth=LOGIN, trust_env=False) as client:
        reply = await client.post(f"http://127.0.0.1:{process.http}//stuff", json={"type": "query", "code": ".n"})
    assert reply.json() in (acknowledged[-1], acknowledged[-1] + 1)
    if number == signal.SIGTERM:
        assert reply.json() == acknowledged[-1]
    assert process.stop() == 0
    assert "Traceback" not in process.said


async def test_the_status_is_told_while_it_stops(process: Server) -> None:
    async with httpx.AsyncClient(auth=LOGIN, trust_env=False) as client:
        url = f"http://127.0.0.1:{process.http}"
        assert (await client.get(f"{url}/ready")).text == "OK\n"
        process.send(signal.SIGTERM)
        while (word := (await client.get(f"{url}/status")).text) == "READY\n":
            pass
        assert word == "SHUTTING_DOWN\n"
        assert (await client.get(f"{url}/ready")).status_code == 503


async def test_https(serve: Serve, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(certificate, append=True)
    issued.private_key_pem.write_to_path(key)
    server = await serve(tls_cert=certificate, tls_key=key)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    url = f"https://127.0.0.1:{server.config.http_port}"
    client = server.client(verify=context)
    reply = await client.post(f"{url}//stuff", json={"type": "query", "code": "1 + 1"})
    assert reply.json() == 2
    with pytest.raises(httpx.TransportError):
        await server.client().get("/status")
