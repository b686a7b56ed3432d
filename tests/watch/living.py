"""An engine with live queries and a client that mirrors them, for tests of `watch.Live`."""

from __future__ import annotations

import gc
from functools import cache
from typing import Any

import msgpack

from engine.engine import Engine
from engine.outcome import Outcome
from engine.store.memory import MemoryStore
from engine.users import User
from server.forms import pack, pack_event
from tests.conftest import Admin
from watch import Live
from watch.events import LIVE_END, LIVE_UPDATE

__all__ = ["BytesForm", "Client", "World", "copied", "patched"]


class BytesForm:
    def event(self, kind: int, data: Any) -> bytes:
        return bytes([kind]) + pack_event(data)


FORM = BytesForm()


def patched(value: Any, operations: list[dict[str, Any]]) -> Any:
    """The value after a JSON patch."""
    holder = {"": value}
    for operation in operations:
        *way, last = operation["path"].split("/")
        target: Any = holder
        for step in way:
            target = target[int(step)] if isinstance(target, list) else target[plain(step)]
        key: Any = int(last) if isinstance(target, list) else plain(last)
        if operation["op"] == "remove":
            del target[key]
        elif operation["op"] == "add" and isinstance(target, list):
            target.insert(key, operation["value"])
        else:
            target[key] = operation["value"]
    return holder[""]


def plain(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


class Client:
    """A connection that mirrors its live queries."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.form = FORM
        self.out: list[bytes] = []
        self.values: dict[int, Any] = {}
        self.ended: dict[int, str] = {}
        self.updates = 0

    @property
    def subscriber(self) -> Client:
        return self

    def read(self) -> None:
        for frame in self.out:
            data = msgpack.unpackb(frame[1:], strict_map_key=False)
            if frame[0] == LIVE_UPDATE:
                self.updates += 1
                number = data["subscription"]
                self.values[number] = patched(self.values[number], data["patch"]) if "patch" in data else data["value"]
            else:
                assert frame[0] == LIVE_END
                self.ended[data["subscription"]] = data["error_msg"]
        self.out.clear()


@cache
def _store(start: str) -> MemoryStore:
    """What a server has on disk after a query."""
    engine = Engine(clock=lambda: 1000.0, seed=1)
    engine.open(store := MemoryStore())
    outcome = engine.query(Admin(engine), "//stuff", start)
    assert outcome.error is None, outcome.error
    if outcome.change is not None:
        store.write_batch(outcome.change.id, [outcome.change.packed], outcome.change.at)
    store.write_checkpoint(engine.checkpoint())
    return store


class World:
    """A server on which the code `start` was run, with one client."""

    worlds = 0

    def __init__(self, start: str = "") -> None:
        World.worlds += 1
        if not World.worlds % 50:
            gc.collect()  # engines hold themselves, and the engine turns collection off
        self.engine = Engine(clock=lambda: 1000.0, seed=1)
        self.engine.open(_store(start))
        self.now = 0.0
        self.live = Live(self.engine, self.say, clock=lambda: self.now)
        self.client = Client(self.engine.users["admin"])

    @staticmethod
    def say(target: Any, frame: bytes) -> None:
        for append in getattr(target, "appends", None) or (target.out.append,):
            append(frame)

    def change(self, code: str, scope: str = "//stuff") -> Outcome:
        """Run a query, and have its outcome make due what it touches; gives that."""
        outcome = self.engine.query(self.client, scope, code)
        for part in (outcome, *(outcome.more or ())):
            self.live.changed(part)
        return outcome

    def run(self) -> None:
        """Run what is due, and have the client read what it is told."""
        self.live.run(1.0, self.engine.last_change)
        self.client.read()

    def subscribe(self, code: str, client: Client | None = None, scope: str = "//stuff", **more: Any) -> int:
        """Subscribe to code; the id of the subscription."""
        client = client or self.client
        reply = self.live.subscribe(client, scope, {"code": code, **more})
        client.values[reply["subscription"]] = copied(reply["value"])
        number: int = reply["subscription"]
        return number


def copied(tree: Any) -> Any:
    """A result as it comes over the wire."""
    return msgpack.unpackb(pack(tree), strict_map_key=False)
