"""Classes that mirror things: loading, following, handlers, writing."""

from __future__ import annotations

import asyncio
import copy
import datetime
import enum
import gc
from typing import Any

import pytest
from livethings import Closed, Database, LookupFailed, TypeFailed, connect
from livethings.model import Closure, Ref, Regex, Thing, ThingMap, on

from tests.client.conftest import Open
from tests.client.relay import Relay
from tests.server.fakes import within
from tests.serving import Server


class Taste(enum.Enum):
    SOUR = "lemon"
    SWEET = "date"


class Author(Thing):
    name: str
    songs: set[Song]


class Song(Thing):
    title: str
    likes: int = 0
    tags: list[str]
    author: Author | None
    taste: Taste | None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._seen: list[Any] = []

    def on_change(self, names: frozenset[str]) -> None:
        self._seen.append(sorted(names))

    def on_load(self) -> None:
        self._seen.append("loaded")

    def on_gone(self) -> None:
        self._seen.append("gone")

    @on("played")
    def played(self, by: str, times: int = 1) -> None:
        self._seen.append(("played", by, times))

    @on("later")
    async def played_later(self) -> None:
        await asyncio.sleep(0)
        self._seen.append("later")


class Music(Thing):
    songs: list[Song]
    first: Song | None
    authors: ThingMap[Author]
    at: datetime.datetime | None


START = """
.music = {
    songs: [{title: 'a', likes: 1, tags: ['x'], author: nil}, {title: 'b', tags: []}],
    authors: {iris: {name: 'Iris', songs: set()}},
};
m = .music;
m.songs[0].author = m.authors.iris;
m.authors.iris.songs.add(m.songs[0]);
m.id();
"""


@pytest.fixture
async def music_id(db: Database) -> int:
    await db.query("//stuff", "if (!has_enum('Taste')) set_enum('Taste', {SOUR: 'lemon', SWEET: 'date'});")
    root: int = await db.query("//stuff", START)
    return root


async def test_things_are_loaded_as_far_as_classes_reach(db: Database, music_id: int) -> None:
    async with db.mirror("//stuff", Music, music_id) as music:
        assert [song.title for song in music.songs] == ["a", "b"]
        a, b = music.songs
        assert (a.likes, a.tags, b.likes, b.tags) == (1, ["x"], 0, [])
        assert a.author is music.authors["iris"] and a.author.songs == {a}
        assert b.author is None and music.first is None and music.at is None
        assert list(music.authors) == ["iris"] and len(music.authors) == 1 and "x" not in music.authors
        assert music.authors.get("iris") is a.author and music.authors.get("x") is None
        assert music.properties["songs"] == [Ref(a.id), Ref(b.id)]
        assert repr(a) == f"<Song #{a.id} title='a', likes=1, tags=['x']>"


async def test_changes_are_followed(db: Database, music_id: int) -> None:
    mirror = db.mirror("//stuff", Music, music_id)
    async with mirror as music:
        songs = music.songs
        a, b = songs
        await db.query("//stuff", ".music.songs[1].likes = 5; .music.songs.push({title: 'c', tags: ['y']})")
        assert b.likes == 5
        assert repr(songs[2]) == f"<Song #{songs[2].id} (not loaded yet)>"
        with pytest.raises(AttributeError, match="settled"):
            print(songs[2].title)
        await mirror.settled()
        assert songs is music.songs and songs[2].tags == ["y"]
        await db.query("//stuff", ".music.songs[0].tags.extend(['z', 'w']); .music.songs.splice(1, 1)")
        assert a.tags == ["x", "z", "w"] and [song.title for song in songs] == ["a", "c"]
        assert b.gone and b._seen == ["loaded", ["likes"], "gone"]
        await db.query("//stuff", ".music.authors.iris.songs.remove(.music.songs[0]); .music.songs[0].del('author')")
        assert music.authors["iris"].songs == set() and a.author is None
        await db.query("//stuff", ".music.authors.kim = {name: 'Kim', songs: set(.music.songs[0])}")
        await mirror.settled()
        assert music.authors["kim"].songs == {a}
        await db.query("//stuff", ".music.authors.del('iris')")
        assert list(music.authors.keys()) == ["kim"]


async def test_handlers_are_called_in_order_when_what_they_see_is_loaded(db: Database, music_id: int) -> None:
    titles: list[list[str]] = []

    class Watched(Thing):
        songs: list[Song]

        def on_change(self, names: frozenset[str]) -> None:
            titles.append([song.title for song in self.songs])

    Watched.__annotations__["songs"] = list[Song]
    async with db.mirror("//stuff", Watched, music_id) as music:
        await db.query(
            "//stuff", ".other = {title: 'old', tags: []}; .music.songs.push(.other, {title: 'c', tags: []})"
        )
        await until(lambda: titles)
        assert titles == [["a", "b", "old", "c"]]
        song = music.songs[0]
        await db.query("//stuff", "s = .music.songs[0]; s.likes = 2; s.emit('played', 'kim'); s.emit('later')")
        await song.emit("played", "iris", 3)
        await until(lambda: "later" in song._seen)
        assert [one for one in song._seen if one != "later"] == [
            "loaded",
            ("played", "kim", 1),
            ["likes"],
            ("played", "iris", 3),
        ]


async def test_a_handler_that_fails_harms_nobody(db: Database, music_id: int, caplog: pytest.LogCaptureFixture) -> None:
    async with db.mirror("//stuff", Music, music_id) as music:
        song = music.songs[0]
        await song.emit("played")
        await song.emit("played", "kim")
        await until(lambda: ("played", "kim", 1) in song._seen)
        assert "a handler failed" in caplog.text


async def test_writing(db: Database, music_id: int) -> None:
    async with db.mirror("//stuff", Music, music_id) as music:
        a, b = music.songs
        await b.set(likes=7, tags=["p", "q"], author=a.author, taste=Taste.SWEET)
        assert (b.likes, b.tags, b.author, b.taste) == (7, ["p", "q"], a.author, Taste.SWEET)
        assert await db.query("//stuff", ".music.songs[1].taste") == "date"
        await music.set(songs=[b, a], first=a)
        assert music.songs == [b, a] and music.first is a
        moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
        await music.set(at=moment)
        assert music.at == moment
        assert a.author is not None
        await a.author.set(songs={a, b})
        assert a.author.songs == {a, b}
        with pytest.raises(AttributeError, match=r"await thing\.set\(likes=…\)"):
            b.likes = 8
        for change in (lambda: b.tags.append("x"), lambda: a.author.songs.clear(), lambda: b.tags.__setitem__(0, "y")):
            with pytest.raises(TypeError, match=r"await thing\.set"):
                change()
        copied = copy.deepcopy(b.tags)
        copied.append("r")
        await b.set(tags=copied)
        assert b.tags == ["p", "q", "r"] and type(copied) is list
        with pytest.raises(TypeError, match="object can't be written"):
            await b.set(title=object())
        with pytest.raises(TypeError, match="time zone"):
            await music.set(at=datetime.datetime(2026, 1, 1))
        with pytest.raises(TypeError, match="Song has no field title_: annotate it"):
            await b.set(title_="x")
        await music.authors.set(zoe={"name": "Zoe", "songs": set()})
        assert music.authors["zoe"].name == "Zoe"
        with pytest.raises(ValueError, match="begins with no digit"):
            await music.authors.set(**{"x = 1; .y": 2})
    with pytest.raises(Closed, match="has ended"):
        await b.set(likes=9)


async def test_methods_of_things_are_called(db: Database, music_id: int) -> None:
    await db.query("//stuff", "try(del_type('Cup')); set_type('Cup', {n: 'int', add: |this, k| this.n += k})")
    cup_id = await db.query("//stuff", ".cup = Cup{}; .cup.id()")

    class Cup(Thing):
        n: int

    async with db.mirror("//stuff", Cup, cup_id) as cup:
        assert await cup.call("add", 4) == 4
        assert cup.n == 4


async def test_new_things_are_written(db: Database) -> None:
    await db.query("//stuff", "try(.del('shelf')); try(del_type('Rack')); try(del_type('Mug')); nil")
    await db.query("//stuff", "set_type('Mug', {n: 'int'}); set_type('Rack', {cups: '[Mug]', best: 'Mug?'})")
    shelf_id = await db.query("//stuff", ".shelf = Rack{}; .shelf.id()")

    class Mug(Thing):
        n: int

    class Rack(Thing):
        cups: list[Mug]
        best: Mug | None

    Rack.__annotations__ |= {"cups": list[Mug], "best": Mug | None}
    async with db.mirror("//stuff", Rack, shelf_id) as shelf:
        await shelf.set(cups=[Mug.new(n=1), Mug.new(n=2)])
        assert [cup.n for cup in shelf.cups] == [1, 2]
        await shelf.call("cups.push", Mug.new(n=3), shelf.cups[0])
        assert [cup.n for cup in shelf.cups] == [1, 2, 3, 1]
        await shelf.set(best=shelf.cups[2])
        await shelf.call("cups.splice", 0, 2)
        assert [cup.n for cup in shelf.cups] == [3, 1] and shelf.best is shelf.cups[0]
        with pytest.raises(TypeFailed):
            await shelf.call("cups.push", {"n": 4})
        with pytest.raises(ValueError, match="a name has letters"):
            await shelf.call("cups.push(1); .x", 1)


async def test_enums_are_followed(db: Database, music_id: int) -> None:
    async with db.mirror("//stuff", Music, music_id) as music:
        a, b = music.songs
        await db.query("//stuff", ".music.songs[0].taste = Taste{SWEET}; .music.songs[1].taste = Taste{SOUR}")
        assert (a.taste, b.taste) == (Taste.SWEET, Taste.SOUR)
        await db.query("//stuff", "mod_enum('Taste', 'add', 'SALTY', 'sea'); mod_enum('Taste', 'def', 'SWEET')")
        await db.query("//stuff", ".music.songs[0].taste = Taste{SOUR}; .music.songs[1].taste = Taste{SWEET}")
        assert (a.taste, b.taste) == (Taste.SOUR, Taste.SWEET)
        await db.query("//stuff", "mod_enum('Taste', 'ren', 'SWEET', 'SUGARY'); .music.songs[0].taste = Taste{SUGARY}")
        assert a.taste is Taste.SWEET  # by its value, since the name is not known
        await db.query("//stuff", "mod_enum('Taste', 'ren', 'SUGARY', 'SWEET'); mod_enum('Taste', 'del', 'SALTY')")


async def test_what_does_not_fit_is_logged_and_left_out(
    db: Database, music_id: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with db.mirror("//stuff", Music, music_id) as music:
        song = music.songs[0]
        await db.query("//stuff", ".music.songs[0].title = 5; .music.songs[0].tags.push(6)")
        assert "title does not fit: 5 is no str" in caplog.text
        for name in ("title", "tags", "nothing"):
            with pytest.raises(AttributeError, match=name):
                getattr(song, name)
        assert song.properties["title"] == 5
        await db.query("//stuff", ".music.songs[0].title = 'fits'; .music.songs[0].tags.pop()")
        assert (song.title, song.tags) == ("fits", ["x"])


async def test_values_without_a_class(db: Database) -> None:
    thing = await db.query(
        "//stuff",
        ".any = {c: |x| x + 1, r: /a.*/i, e: err(-100, 'bad'), s: set({}), d: datetime(1000), l: [1, [2, {}]], n: nil};"
        ".any.id()",
    )

    class Loose(Thing):
        c: Any

    async with db.mirror("//stuff", Loose, thing) as loose:
        values = loose.properties
        assert loose.c == values["c"] == Closure("|x|x+1") and values["r"] == Regex("/a.*/i")
        assert values["e"].code == -100 and values["e"].message == "bad"
        assert values["d"] == datetime.datetime.fromtimestamp(1000, datetime.UTC)
        assert len(values["s"]) == 1 and values["n"] is None
        assert values["l"][:1] == [1] and isinstance(values["l"][1][1], Ref)


async def test_changes_can_be_awaited_and_subscribed(db: Database, music_id: int) -> None:
    async with db.mirror("//stuff", Music, music_id) as music:
        song, seen = music.songs[0], []
        end = song.subscribe(lambda thing, names: seen.append((thing, names)))
        changes = song.changes()
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        await db.query("//stuff", ".music.songs[0].likes += 1")
        assert await within(waiting) == {"likes"}
        await db.query("//stuff", ".music.songs[0].title = 'z'; .music.songs[0].tags = []")
        assert await within(anext(changes)) == {"title", "tags"}
        assert seen == [(song, {"likes"}), (song, {"title", "tags"})]
        end()
        await db.query("//stuff", ".music.songs.shift(); .music.authors.iris.songs.clear()")
        with pytest.raises(StopAsyncIteration):
            await within(anext(changes))
        assert len(seen) == 2


async def test_what_nobody_holds_is_watched_no_more(db: Database, music_id: int) -> None:
    mirror = db.mirror("//stuff", Music, music_id)
    async with mirror as music:
        await db.query("//stuff", ".kept = .music.songs[1]; .music.songs.pop()")
        gc.collect()
        await db.query("//stuff", ".music.songs[0].likes += 1")
        feed = mirror._feed
        kept = await db.query("//stuff", ".kept.id()")
        assert feed is not None and kept not in feed.ids and music.songs[0].id in feed.ids
        await db.query("//stuff", ".music.songs.push(.kept); .kept.title = 'back'")
        await until(lambda: len(music.songs) == 2 and music.songs[1].loaded)
        await until(lambda: music.songs[1].title == "back")


async def test_waiting_for_the_end(db: Database, music_id: int) -> None:
    mirror = db.mirror("//stuff", Music, music_id)
    async with mirror:
        waiting = asyncio.ensure_future(mirror.finished())
        await asyncio.sleep(0)
        assert not waiting.done()
    await within(waiting)
    assert mirror.over and mirror.error is None


async def test_the_end_of_the_root_ends_the_mirror(db: Database, music_id: int) -> None:
    mirror = db.mirror("//stuff", Music, music_id)
    async with mirror as music:
        await db.query("//stuff", ".del('music')")
        await until(lambda: music.gone)
        assert mirror.over and mirror.error is None and [song.title for song in music.songs] == ["a", "b"]


async def test_what_is_not_there(db: Database) -> None:
    with pytest.raises(LookupFailed, match="no thing 12345678"):
        await db.mirror("//stuff", Song, 12345678)
    with pytest.raises(LookupFailed, match="nowhere"):
        await db.mirror("//nowhere", Song)


async def test_a_mirror_outlives_the_connection(server: Server, db: Database, music_id: int, opened: Open) -> None:
    async with Relay(server.tcp) as relay:
        ours = await opened(relay.port)
        async with ours.mirror("//stuff", Music, music_id) as music:
            a, b = music.songs
            relay.cut()
            await db.query("//stuff", ".music.songs[0].likes = 50; .music.songs.push({title: 'c', tags: []})")
            relay.mend()
            await until(lambda: len(music.songs) == 3 and music.songs[2].loaded)
            assert music.songs[:2] == [a, b] and music.songs[2].title == "c"
            await until(lambda: a.likes == 50)
            assert a._seen == ["loaded", ["likes"]] and b._seen == ["loaded"]


def test_classes_that_can_not_be_mirrored() -> None:
    class Bad(Thing):
        both: Song | Author

    Bad.__annotations__["both"] = Song | Author
    with pytest.raises(TypeError, match=r"Bad\.both: what comes does not tell"):
        Bad.fields()

    class Numbers(Thing):
        some: set[int]

    with pytest.raises(TypeError, match=r"Numbers\.some: sets hold things"):
        Numbers.fields()

    with pytest.raises(TypeError, match="a class derived from"):
        connect("ws://host", token="x").mirror("//stuff", dict)  # type: ignore[type-var]

    class Odd(Thing):
        some: complex

    with pytest.raises(TypeError, match=r"Odd\.some: values of .*complex.* can't be mirrored"):
        Odd.fields()

    class Local(Thing):
        other: Nowhere  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(TypeError, match=r"Local: name 'Nowhere' is not defined; .* top of the module"):
        Local.fields()
    with pytest.raises(TypeError, match=r"every thing has a emit already"):

        class Taken(Thing):
            emit: int


async def until(condition: Any) -> None:
    """Wait until it is so."""

    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.002)

    await within(wait())
