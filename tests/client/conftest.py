"""A server as a process, and databases that are connected to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from livethings import Backoff, Database, connect

from tests.serving import Server

Open: TypeAlias = Callable[..., Awaitable[Database]]

QUICK = Backoff(first=0.02, longest=0.2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for the tests of a module, each of which uses things of its own."""
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that a test may stop and start."""
    with Server(tmp_path) as server:
        yield server


def url_of(server: Server | int, scheme: str = "ws") -> str:
    """The address of a server; a port is for TCP."""
    if isinstance(server, int):
        return f"tcp://127.0.0.1:{server}"
    return f"{scheme}://127.0.0.1:{server.ws if scheme.startswith('ws') else server.tcp}"


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Opens databases of a server and closes them after the test."""
    async with AsyncExitStack() as stack:

        async def opened(server: Server | int, scheme: str = "ws", **options: Any) -> Database:
            login = {"user": "admin", "password": "pass"} if "token" not in options else {}
            options = {"backoff": QUICK} | login | options
            return await stack.enter_async_context(connect(url_of(server, scheme), **options))

        yield opened


@pytest.fixture(params=["ws", "tcp"])
async def db(request: pytest.FixtureRequest, server: Server, opened: Open) -> Database:
    """A database over each transport."""
    return await opened(server, request.param)
