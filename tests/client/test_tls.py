"""TLS over both transports."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme
from livethings import ConnectFailed, connect

from tests.server.fakes import build


async def test_tls_over_both_transports(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    for blob in issued.cert_chain_pems:
        blob.write_to_path(tmp_path / "cert.pem", append=True)
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    house = await build(tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    login = {"user": "admin", "password": "pass"}
    urls = f"wss://localhost:{house.config.ws_port}", f"tcps://localhost:{house.config.tcp_port}"
    try:
        for url in urls:
            async with connect(url, ssl=trusting, **login) as db:
                assert await db.query("@t", "1+1") == 2
            with pytest.raises(ConnectFailed, match="certificate"):
                await connect(url, **login)
            with pytest.raises(ConnectFailed, match="certificate"):
                await connect(url.replace("localhost", "127.0.0.1"), ssl=trusting, **login)
        with pytest.raises(ValueError, match="wss:// or tcps://"):
            connect("tcp://localhost", ssl=trusting, **login)
        with pytest.raises(ConnectFailed):
            await connect(f"ws://localhost:{house.config.ws_port}", connect_timeout=1, **login)
    finally:
        await house.close()
