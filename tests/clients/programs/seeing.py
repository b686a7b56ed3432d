"""What the programs of the watch framework have in common: they follow what the server tells."""

import asyncio

from telling import tell
from thingsdb.client import Client
from thingsdb.client.abc.events import Events


class Seen(Events):
    """Keeps every event, tells it unless `quiet`, and lets the program wait for what events make true."""

    def __init__(self, quiet=False):
        super().__init__()
        self.events = []
        self._quiet = quiet
        self._news = asyncio.Event()

    def _see(self, kind, data=None):
        self.events.append((kind, data))
        self._news.set()
        if not self._quiet:
            tell(event=kind, data=data)

    def count(self, kind):
        """How many events of a kind there were."""
        return sum(kind == seen for seen, _ in self.events)

    def on_reconnect(self):
        self._see("reconnect")

    def on_node_status(self, status):
        self._see("status", status)

    def on_warning(self, warn):
        self._see("warning", warn["warn_code"])

    def on_watch_init(self, data):
        self._see("init", data)

    def on_watch_update(self, data):
        self._see("update", data)

    def on_watch_delete(self, data):
        self._see("delete", data)

    def on_watch_stop(self, data):
        self._see("stop", data)

    async def until(self, holds):
        """Wait for an event after which it holds; what it gives."""
        while True:
            try:
                held = holds()
            except (AttributeError, IndexError):  # not there yet
                held = False
            if held:
                return held
            self._news.clear()
            await self._news.wait()


async def connected(port, *handlers, auth=("admin", "pass"), **options):
    """A client that is logged in."""
    client = Client(**options)
    for handler in handlers:
        client.add_event_handler(handler)
    await client.connect("127.0.0.1", port)
    await client.authenticate(*auth)
    return client


async def filled(client, name, code):
    """Make a collection and run a query in it; the query's result."""
    await client.new_collection(name)
    return await client.query(code, scope=f"//{name}")


async def closed(client):
    """Close a client."""
    client.close()
    await client.wait_closed()
