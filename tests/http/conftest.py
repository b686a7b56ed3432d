"""A server in this process, with the real engine and a store in memory, and a real client of its HTTP port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvloop

from engine.engine import Engine
from engine.store import Committer
from engine.store.memory import MemoryStore
from server.config import Config
from server.core import Core
from server.http.app import Http
from server.listeners import Listeners
from server.live import LiveRounds
from server.outbox import Outbox
from tests.server.fakes import free_ports
from watch import Hub, Live, Requests


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop that a server runs on where it can be had; where connections are tested, the other one too."""
    factories = {"uvloop": uvloop.new_event_loop}
    if item.path.name == "test_status.py":
        factories["asyncio"] = asyncio.new_event_loop
    return factories


LOGIN = ("admin", "pass")


@dataclass
class Server:
    """A server and how to reach it. `hold` keeps changes from becoming durable until `release`."""

    config: Config
    engine: Engine
    committer: Committer
    core: Core
    http: Http
    listeners: Listeners
    clients: list[httpx.AsyncClient] = field(default_factory=list)
    holding: bool = False
    held: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.config.http_port}"

    def client(self, **options: Any) -> httpx.AsyncClient:
        """A client with the login of admin, unless `auth` says otherwise."""
        client = httpx.AsyncClient(
            base_url=self.url, **({"auth": LOGIN, "timeout": 20.0, "trust_env": False} | options)
        )
        self.clients.append(client)
        return client

    async def raw(self, *chunks: bytes) -> bytes:
        """All that comes back for raw bytes until the server closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.config.http_port)
        for chunk in chunks:
            writer.write(chunk)
            await asyncio.sleep(0)
        answer = await asyncio.wait_for(reader.read(-1), 20)
        writer.close()
        return answer

    def hold(self) -> None:
        self.holding = True

    def release(self) -> None:
        self.holding = False
        for change_id in self.held:
            self.core.outbox.durable(change_id)
        self.held.clear()

    def durable(self, change_id: int) -> None:
        if self.holding:
            self.held.append(change_id)
        else:
            self.core.outbox.durable(change_id)

    def eval(self, code: str, scope: str = "//stuff", **variables: Any) -> Any:
        """What code comes to, run by admin past the network."""
        user = self.engine.users["admin"]
        outcome = self.engine.query(_Caller(user), scope, code, variables)
        self.core.publish(outcome, None, None)
        assert outcome.error is None, outcome.error
        return outcome.value

    async def close(self) -> None:
        for client in self.clients:
            await client.aclose()
        self.listeners.close()
        self.http.abort()
        for connection in self.core.connections:
            connection.abort()
        self.core.authenticator.close()
        self.committer.close()


@dataclass
class _Caller:
    user: Any
    subscriber = None


Serve = Callable[..., Awaitable[Server]]


async def _serve(**settings: Any) -> Server:
    tcp, ws, http_port = free_ports(3)
    config = Config(**({"tcp_port": tcp, "ws_port": ws, "http_port": http_port} | settings))
    loop = asyncio.get_running_loop()
    engine, store = Engine(), MemoryStore()
    engine.open(store)
    outbox = Outbox(loop.call_soon, engine.last_change)
    listeners = Listeners(config, loop)

    def on_durable(change_id: int) -> None:
        loop.call_soon_threadsafe(server.durable, change_id)

    committer = Committer(store, on_durable, lambda error: None)
    hub = Hub(engine, outbox.say)
    core = Core(engine, committer, hub, Requests(engine, hub, store), outbox, config, loop)
    core.live = LiveRounds(Live(engine, outbox.say), outbox, loop)
    http = await listeners.open_http(lambda: core.status)
    http.core = core
    await listeners.open(core)
    server = Server(config, engine, committer, core, http, listeners)
    return server


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Makes servers with settings of their own."""
    servers: list[Server] = []

    async def make(**settings: Any) -> Server:
        servers.append(await _serve(**settings))
        return servers[-1]

    yield make
    for server in servers:
        await server.close()


@pytest.fixture
async def server(serve: Serve) -> Server:
    """A server with the default settings."""
    return await serve()
