"""Whatever is cancelled, at whatever moment, leaves nothing: not in the client, and not on the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from livethings import Database, Unrouted
from livethings.model import Thing

from tests.client.conftest import Open
from tests.server.fakes import within
from tests.serving import Server

SETUP = """
.room = room();
.room.set_name('room');
.thing = {n: 0, inner: {n: 1}};
[.id(), .thing.id()];
"""


class Inner(Thing):
    n: int


class Outer(Thing):
    n: int
    inner: Inner


@asynccontextmanager
async def looping(subscription: Any) -> AsyncIterator[None]:
    """Read with a loop instead of a block."""
    async for _ in subscription:
        pass
    yield


Begin = Callable[[Database, int], AbstractAsyncContextManager[Any]]

KINDS: dict[str, Begin] = {
    "watch": lambda db, thing: db.watch("//stuff", thing),
    "root": lambda db, thing: db.watch("//stuff"),
    "watch since": lambda db, thing: db.watch("//stuff", thing, since=1),
    "room": lambda db, thing: db.room("//stuff", "room", since=0),
    "presence": lambda db, thing: db.presence("//stuff", room="room"),
    "who watches": lambda db, thing: db.presence("//stuff", thing=thing),
    "live": lambda db, thing: db.live("//stuff", ".thing.n"),
    "mirror": lambda db, thing: db.mirror("//stuff", Outer, thing),
    "events": lambda db, thing: db.events(),
    "looped watch": lambda db, thing: looping(db.watch("//stuff", thing)),
    "looped room": lambda db, thing: looping(db.room("//stuff", "room")),
    "looped presence": lambda db, thing: looping(db.presence("//stuff", room="room")),
}


async def stay(block: AbstractAsyncContextManager[Any]) -> None:
    """Enter, and stay for good."""
    async with block:
        await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("kind", KINDS)
async def test_cancelling_at_any_moment_leaves_nothing(server: Server, db: Database, opened: Open, kind: str) -> None:
    root, thing = await db.query("//stuff", SETUP)
    link = db._link
    assert link.connection is not None
    routes = link.connection.routes
    turns, entered = 0, 0
    while entered < 3:  # after so many turns of the loop it has certainly been entered
        task = asyncio.create_task(stay(KINDS[kind](db, thing)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await within(task)
        assert not link._subscriptions
        turns += 1 + turns // 8
        entered += turns > 200
    await db.ping()
    assert not routes.watches and not routes.live and not routes.expected and not +routes.claims
    assert not routes.rooms._members and not routes.presence._members
    # The server says nothing any more, and nobody is there.
    async with db.events() as events, db.presence("//stuff", room="room") as people:
        assert not people.present
        await db.query("//stuff", ".thing.n += 1; .room.emit('x'); .other = {}; nil")
        await db.ping()
        while events._holds():
            event = await anext(events)
            assert not isinstance(event, Unrouted) or event.kind in (3, 4), event
    async with db.presence("//stuff", thing=thing) as watchers, db.presence("//stuff", thing=root) as others:
        assert not watchers.present and not others.present
