"""Random changes and a connection that breaks anywhere: what a mirror has become is what a new one begins with."""

from __future__ import annotations

import asyncio
import enum
import gc
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livethings import connect
from livethings.model import Thing, ThingMap, on

from tests.client.conftest import QUICK, url_of
from tests.client.relay import Relay, tried
from tests.serving import Server

LOGIN = {"user": "admin", "password": "pass"}


class Taste(enum.Enum):
    SOUR = "lemon"
    SWEET = "date"
    SALTY = "sea"


class Author(Thing):
    name: str
    songs: set[Song]


class Song(Thing):
    title: str
    likes: int | None
    tags: list[str]
    author: Author | None
    next: Song | None
    taste: Taste | None

    @on("rang")
    def rang(self) -> None:
        """Nothing comes of it."""


class Root(Thing):
    songs: list[Song]
    first: Song | None
    authors: ThingMap[Author]


START = """
if (!has_enum('Taste')) set_enum('Taste', {SOUR: 'lemon', SWEET: 'date', SALTY: 'sea'});
.p = {
    songs: range(3).map(|i| {title: str(i), likes: i, tags: ['x', 'y']}),
    authors: {a: {name: 'A', songs: set()}, b: {name: 'B', songs: set()}},
};
.p.first = .p.songs[0];
.p.id();
"""

songs = st.sampled_from(["p.songs[0]", "p.songs[1]", "p.songs[2]", "p.songs[-1]", "p.first", "p.first.next"])
new = st.sampled_from(["{title: 'n', tags: []}", "{title: 'm', tags: ['z'], likes: 1, next: {title: 'o', tags: []}}"])
authors = st.sampled_from(["p.authors.a", "p.authors.b", "p.authors.c"])
some = st.one_of(songs, new)
index = st.integers(-1, 4)
statements = st.one_of(
    st.builds("p.songs.push({})".format, some),
    st.builds("p.songs.unshift({}, {})".format, some, some),
    st.sampled_from(["p.songs.pop()", "p.songs.shift()", "p.songs = p.songs.reverse()", "p.first = nil"]),
    st.builds("p.songs.splice({}, {}, {})".format, index, st.integers(0, 2), some),
    st.builds("p.songs[{}] = {}".format, index, some),
    st.builds("p.first = {}".format, some),
    st.builds("{}.next = {}".format, songs, some),
    st.builds("{}.likes += {}".format, songs, index),
    st.builds("{}.title = '{}'".format, songs, index),
    st.builds("{}.taste = Taste{{{}}}".format, songs, st.sampled_from(["SOUR", "SWEET", "SALTY"])),
    st.builds("mod_enum('Taste', 'def', '{}')".format, st.sampled_from(["SOUR", "SWEET", "SALTY"])),
    st.builds("{}.author = {}".format, songs, authors),
    st.builds("{}.{}".format, songs, st.sampled_from(["del('likes')", "del('next')", "ren('likes', 'plays')"])),
    st.builds("{}.emit('rang')".format, songs),
    st.builds("{}.tags.{}".format, songs, st.sampled_from(["push('t')", "pop()", "splice(1, 1, 'u', 'v')", "clear()"])),
    st.builds("{}.tags = [str({})]".format, songs, index),
    st.builds("{}.songs.add({})".format, authors, some),
    st.builds("{}.songs.remove({})".format, authors, songs),
    st.builds("{}.songs {} set({})".format, authors, st.sampled_from(["|=", "^=", "&="]), songs),
    st.builds("{}.songs.clear()".format, authors),
    st.sampled_from(["p.authors.set('c', {name: 'C', songs: set(p.first)})", "p.authors.del('c')"]),
)
queries = st.lists(statements, min_size=1, max_size=4)
steps = st.lists(
    st.one_of(
        queries,
        queries,
        st.sampled_from(["cut", "mend", "collect"]),
        st.integers(0, 400),  # bytes until the connection breaks
    ),
    min_size=4,
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=steps)
def test_a_mirror_is_what_the_server_has(server: Server, program: list[Any]) -> None:
    asyncio.run(run(server, program))


async def run(server: Server, program: list[Any]) -> None:
    async with (
        Relay(server.tcp) as relay,
        connect(url_of(server, "tcp"), **LOGIN) as other,
        connect(url_of(relay.port), backoff=QUICK, **LOGIN) as ours,
    ):
        root_id = await other.query("//stuff", START)
        mirror = ours.mirror("//stuff", Root, root_id)
        async with mirror as root:
            for step in program:
                if isinstance(step, list):
                    code = tried(step)
                    await other.query("//stuff", f"p = .p; {code}; nil")
                elif step == "collect":
                    gc.collect()
                else:
                    relay.take(step)
            relay.heal()
            # All that was said before a reply has come with it; a watch takes up to two requests to be taken up.
            for _ in range(3):
                await ours.using(retry=True).query("//stuff", "1")
            await asyncio.wait_for(mirror.settled(), 10)
            async with other.mirror("//stuff", Root, root_id) as fresh:
                assert snapshot(root) == snapshot(fresh)
        await other.query("//stuff", ".del('p')")


def snapshot(root: Root) -> dict[int, dict[str, Any]]:
    """All things that the root reaches, by their ids: their properties as comparable values."""
    found: dict[int, dict[str, Any]] = {}
    waiting: list[Thing] = [root]

    def shown(value: Any) -> Any:
        if isinstance(value, Thing):
            waiting.append(value)
            return value.id
        if isinstance(value, list):
            return list(map(shown, value))
        if isinstance(value, set):
            return set(map(shown, value))
        return value

    while waiting:
        thing = waiting.pop()
        if thing.id in found:
            continue
        found[thing.id] = {}
        names = thing.keys() if isinstance(thing, ThingMap) else type(thing).fields()
        for name in names:
            value = thing[name] if isinstance(thing, ThingMap) else getattr(thing, name, "does not fit")
            found[thing.id][name] = shown(value)
    return found
