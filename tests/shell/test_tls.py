"""Connections with TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.serving import Server
from tests.shell.conftest import livethings

SECURE = """
import sys
from server.cli import main
sys.exit(main([*sys.argv[2:], "--tls-cert", sys.argv[1] + "/chain.pem", "--tls-key", sys.argv[1] + "/key.pem"]))
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificate of an authority, and one for localhost with its key."""
    folder = tmp_path_factory.mktemp("certificates")
    made = trustme.CA()
    made.cert_pem.write_to_path(folder / "authority.pem")
    certificate = made.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for part in certificate.cert_chain_pems:
        part.write_to_path(folder / "chain.pem", append=True)
    return folder


@pytest.fixture(scope="module")
def secure_server(authority: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("secure"), program=("-c", SECURE, authority)) as server:
        yield server


@pytest.mark.parametrize("scheme", ["tcps", "wss"])
def test_an_authority_of_ones_own(scheme: str, authority: Path, secure_server: Server) -> None:
    port = secure_server.tcp if scheme == "tcps" else secure_server.ws
    url = ("--url", f"{scheme}://localhost:{port}")
    done = livethings(None, "query", "1;", *url, "--tls-ca", authority / "authority.pem")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
    done = livethings(None, "query", "1;", *url)
    assert (done.returncode, done.stdout) == (3, "")
    assert "certificate" in done.stderr and "Traceback" not in done.stderr
    done = livethings(None, "query", "1;", *url, "--host", "127.0.0.1", "--tls-ca", authority / "authority.pem")
    assert (done.returncode, done.stdout) == (3, "")


def test_no_tls_where_there_must_be(secure_server: Server) -> None:
    done = livethings(None, "query", "1;", "--url", f"tcp://localhost:{secure_server.tcp}")
    assert (done.returncode, done.stdout) == (3, "")
    assert "Traceback" not in done.stderr


def test_an_authority_that_is_none(authority: Path, secure_server: Server) -> None:
    url = ("--url", f"tcps://localhost:{secure_server.tcp}")
    done = livethings(None, "query", "1;", *url, "--tls-ca", Path(__file__))
    assert (done.returncode, done.stdout) == (2, "")
    assert __file__ in done.stderr
