"""What the types of the Python client say to a type checker. Never run: tests/client/test_types.py has mypy read it."""

from __future__ import annotations

import asyncio
import datetime
import enum
from typing import Any, assert_type

from livethings import (
    Database,
    Delete,
    Emitted,
    Events,
    Init,
    Joined,
    Left,
    Live,
    NodeStatus,
    Notice,
    Presence,
    Requests,
    Room,
    ServerError,
    Stop,
    Unrouted,
    Update,
    Watch,
    apply,
    connect,
    tree,
)
from livethings.model import Mirror, Ref, Thing, ThingMap, on


class Taste(enum.Enum):
    SOUR = 1


class Author(Thing):
    name: str


class Song(Thing):
    title: str
    likes: int = 0
    author: Author | None
    taste: Taste
    at: datetime.datetime
    tags: list[str]

    def on_change(self, names: frozenset[str]) -> None:
        assert_type(self.title, str)

    @on("played")
    async def played(self, by: str) -> None:
        assert_type(by, str)


class Music(Thing):
    songs: list[Song]
    fans: set[Author]
    authors: ThingMap[Author]
    numbers: ThingMap[int]


async def a_database() -> None:
    async with connect("ws://host", user="a", password="b", slow="refresh") as db:
        assert_type(db, Database)
        assert_type(await db.query("//stuff", "1", x=1), Any)
        assert_type(await db.run("//stuff", "f", 1), Any)
        assert_type(db.using(atomic=True, decided_at=1, things=[2]), Requests)
    assert_type(await connect("ws://host", token="t"), Database)
    connect("ws://host", token="t", slow="never")  # type: ignore[arg-type]


async def subscriptions(db: Database) -> None:
    async for event in db.watch("//stuff", 1, 2, deep=3):
        assert_type(event, Init | Update | Delete | Stop)
        match event:
            case Init():
                assert_type(event.thing, dict[str, Any])
                assert_type(event.restart, bool)
            case Update():
                assert_type(event.jobs, list[dict[str, Any]])
            case Delete() | Stop():
                assert_type(event.change, int | None)
    async with db.watch("//stuff") as watch:
        assert_type(watch, Watch)
        assert_type(await anext(watch), Init | Update | Delete | Stop)
    async with db.live("//stuff", "1").every(2) as live:
        assert_type(live, Live)
        assert_type(live.change, int)
    async with db.room("//stuff", "chat") as room:
        assert_type(room, Room)
        assert_type(await anext(room), Emitted)
    async with db.presence("//stuff", room="chat") as people:
        assert_type(people, Presence)
        assert_type(await anext(people), Joined | Left)
        assert_type(people.present, dict[int, str])
    db.presence("//stuff")  # type: ignore[call-overload]
    db.presence("//stuff", room="chat", thing=1)  # type: ignore[call-overload]
    async with db.events() as events:
        assert_type(events, Events)
        assert_type(await anext(events), NodeStatus | Notice | Unrouted)
    things: dict[int, dict[str, Any]] = {}
    async for event in db.watch("//stuff"):
        apply(event, things)
    assert_type(tree(things, 1), Any)


async def mirrors(db: Database) -> None:
    assert_type(db.mirror("//stuff", Music), Mirror[Music])
    assert_type(await db.mirror("//stuff", Music), Music)
    async with db.mirror("//stuff", Music, 3) as music:
        assert_type(music, Music)
        assert_type(music.songs[0].title, str)
        assert_type(music.songs[0].author, Author | None)
        assert_type(music.fans, set[Author])
        assert_type(music.authors["a"], Author)
        assert_type(music.authors.get("a"), Author | None)
        assert_type(music.numbers.get("a", "none"), int | str)
        assert_type(list(music.authors.items()), list[tuple[str, Author]])
        assert_type(music.numbers["a"], int)
        assert_type(music.properties, dict[str, Any])
        await music.songs[0].set(title="b")
        print(music.songs[0].nothing)  # type: ignore[attr-defined]
        async for names in music.changes():
            assert_type(names, frozenset[str])
        music.songs[0].subscribe(lambda song, names: print(song.title, len(names)))
    assert_type(Ref(1).id, int)


def errors(error: Exception) -> None:
    if isinstance(error, ServerError):
        assert_type(error.code, int)
        assert_type(error.message, str)


asyncio.run(a_database())
