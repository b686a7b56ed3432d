"""The bare server that figures stand beside: an asyncio server on the same kind of event loop that understands nothing.

Started as `python -m bench.baseline`, it prints its ports as JSON. What comes in at `echo` goes back as it is; what
comes in at `publish` is copied to every connection at `watch`.
"""

from __future__ import annotations

import asyncio
import json
from typing import cast

from bench.limits import raise_open_files
from bench.processes import HOST

BACKLOG = 4096


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Watcher(asyncio.Protocol):
    """Gets what is published."""

    transport: asyncio.Transport

    def __init__(self, watchers: set[asyncio.Transport]) -> None:
        self.watchers = watchers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.watchers.add(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.watchers.discard(self.transport)


class Publisher(asyncio.Protocol):
    """Copies what comes to all watchers."""

    def __init__(self, watchers: set[asyncio.Transport]) -> None:
        self.watchers = watchers

    def data_received(self, data: bytes) -> None:
        for watcher in self.watchers:
            watcher.write(data)


async def main() -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    watchers: set[asyncio.Transport] = set()
    servers = {
        "echo": await loop.create_server(Echo, HOST, 0, backlog=BACKLOG),
        "publish": await loop.create_server(lambda: Publisher(watchers), HOST, 0, backlog=BACKLOG),
        "watch": await loop.create_server(lambda: Watcher(watchers), HOST, 0, backlog=BACKLOG),
    }
    print(json.dumps({name: server.sockets[0].getsockname()[1] for name, server in servers.items()}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    raise_open_files()
    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
