"""The open doors: TCP, a Unix socket, WebSocket with the pages, and HTTP."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from server.config import Config, ConfigError
from server.core import Core
from server.http.app import Http
from server.pages import Pages, pages_folder
from server.tcp import TcpConnection
from server.websocket import WebSocketConnection

__all__ = ["ListenError", "Listeners", "tls_context"]

BACKLOG = 4096
HANDSHAKE_TIME = 10.0

# A peer that is gone without a word is found out: after a minute of silence it is probed every 15 seconds, and what
# was sent must be acknowledged, and be read, within two minutes.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 120_000}


class ListenError(Exception):
    """A port or Unix socket can't be listened on; the message says which and why."""


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer with the certificate chain and key of two PEM files. Raises ConfigError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for option, path in (("--tls-cert", certificate), ("--tls-key", key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise ConfigError(f"the file {path} of {option} can't be read: {error.strerror}") from None
    try:
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        why = error.reason or "they are no PEM files"
        raise ConfigError(f"{certificate} and {key} are no certificate and its key: {why}") from None
    return context


class Listeners:
    """What listens, and where."""

    def __init__(self, config: Config, loop: asyncio.AbstractEventLoop) -> None:
        self._config = config
        self._loop = loop
        self._servers: list[asyncio.Server] = []
        self._unix: os.stat_result | None = None  # of the Unix socket's file
        self._tls: ssl.SSLContext | None = None
        if config.tls_cert is not None and config.tls_key is not None:
            self._tls = tls_context(config.tls_cert, config.tls_key)

    async def open_http(self, status: Callable[[], str]) -> Http:
        """Listen for HTTP, which tells the status until it is given a core."""
        http = Http(self._config, self._loop, status)
        if self._config.http_port:
            await self._listen(http.connection, self._config.http_port, self._tls)
        return http

    async def open(self, core: Core) -> None:
        """Listen for clients."""
        config = self._config
        if config.tcp_port:
            await self._listen(lambda: TcpConnection(core), config.tcp_port, self._tls)
        if config.unix_socket is not None:
            await self._listen_unix(core, config.unix_socket)
        if config.ws_port:
            pages = Pages(pages_folder())
            await self._listen(lambda: WebSocketConnection(core, pages), config.ws_port, self._tls)

    async def _listen_unix(self, core: Core, path: Path) -> None:
        """Listen on a Unix socket, for processes of the server's user and group."""
        if path.exists() or path.is_symlink():
            raise ListenError(f"{path} is there already: remove it if no server listens there, or name another file")
        before = os.umask(0o117)
        try:
            server = await self._loop.create_unix_server(lambda: TcpConnection(core), str(path), backlog=BACKLOG)
            self._unix = path.lstat()
        except OSError as error:
            raise ListenError(f"can't listen on the Unix socket {path}: {error.strerror or error}") from None
        finally:
            os.umask(before)
        self._servers.append(server)

    async def _listen(self, factory: Callable[[], asyncio.Protocol], port: int, tls: ssl.SSLContext | None) -> None:
        try:
            server = await self._loop.create_server(
                factory,
                self._config.host,
                port,
                ssl=tls,
                backlog=BACKLOG,
                ssl_handshake_timeout=None if tls is None else HANDSHAKE_TIME,
            )
        except OSError as error:
            raise ListenError(f"can't listen on {self._config.host} port {port}: {error.strerror or error}") from None
        for listening in server.sockets:
            # Accepted connections have the options of the socket that they came by.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEPALIVE.items():
                if hasattr(socket, name):
                    listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._servers.append(server)

    def __str__(self) -> str:
        """The doors, for people."""
        config = self._config
        host = f"[{config.host}]" if ":" in config.host else config.host
        tls = " (TLS)" if self._tls else ""
        doors = []
        if config.tcp_port:
            doors.append(f"TCP {host}:{config.tcp_port}{tls}")
        if config.unix_socket is not None:
            doors.append(f"Unix socket {config.unix_socket}")
        if config.ws_port:
            doors.append(f"WebSocket {'wss' if tls else 'ws'}://{host}:{config.ws_port}/")
        if config.http_port:
            doors.append(f"HTTP {'https' if self._tls else 'http'}://{host}:{config.http_port}/")
        return ", ".join(doors)

    @property
    def page(self) -> str | None:
        """The address of the pages for a browser on this machine; None when they are not served."""
        config = self._config
        if not config.ws_port:
            return None
        host = "127.0.0.1" if config.host in ("", "0.0.0.0", "::") else config.host
        host = f"[{host}]" if ":" in host else host
        return f"{'https' if self._tls else 'http'}://{host}:{config.ws_port}/"

    def close_clients(self) -> None:
        """Take no new clients. HTTP goes on telling the status."""
        for server in self._servers[1 if self._config.http_port else 0 :]:
            server.close()

    def close(self) -> None:
        """Take nobody."""
        for server in self._servers:
            server.close()
        path, ours = self._config.unix_socket, self._unix
        self._unix = None
        if path is not None and ours is not None:
            with suppress(OSError):  # some event loops have removed it
                if os.path.samestat(path.lstat(), ours):
                    path.unlink()
