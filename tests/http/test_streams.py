"""Event streams: what they tell, to whom, until when; with a real client, and with curl where there is one."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import shutil
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.http.streams import EVENT_STREAM, Frame, Position, numbered
from server.native import UPDATE
from tests.http.conftest import Serve, Server


class Event:
    """One event as a browser would see it: `id` is the last one that came."""

    def __init__(self, name: str, data: Any, last_id: str) -> None:
        self.name, self.data, self.id = name, data, last_id

    def __repr__(self) -> str:
        return f"{self.name} {self.data} {self.id}"


async def _lines(response: httpx.Response) -> AsyncIterator[str]:
    """The lines as the standard has them; httpx ends them at other characters too."""
    left = b""
    async for data in response.aiter_bytes():
        *lines, left = (left + data).split(b"\n")
        for line in lines:
            yield line.decode()


class Stream:
    """A reader of an event stream (HTML Standard, section 9.2.6)."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.last_id = ""
        self.comments = 0
        self._lines = _lines(response)

    async def next(self) -> Event | None:
        """The next event; None at the end of the stream."""
        name, data = "message", None
        async for line in self._lines:
            key, _, value = line.partition(": ")
            if key == "event":
                name = value
            elif key == "data":
                data = json.loads(value)
            elif key == "id":
                self.last_id = value
            elif line.startswith(":"):
                self.comments += 1
            elif not line:
                if data is not None:
                    return Event(name, data, self.last_id)
                name = "message"
        return None

    async def read(self) -> tuple[str, Any]:
        event = await asyncio.wait_for(self.next(), 20)
        assert event is not None
        return event.name, event.data


@contextlib.asynccontextmanager
async def stream(server: Server, query: str, **options: Any) -> AsyncIterator[Stream]:
    headers = options.pop("headers", {})
    async with server.client(**options).stream("GET", f"{server.url}/events?{query}", headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-store" and "date" in response.headers
        yield Stream(response)


async def refused(server: Server, query: str, **options: Any) -> tuple[int, str]:
    reply = await server.client(**options).get(f"{server.url}/events?{query}")
    assert reply.headers["content-type"] == "text/plain"
    return reply.status_code, reply.text


# --- what is told ----------------------------------------------------------------------------------------------------


async def test_a_watch(server: Server) -> None:
    root = server.eval(".x = 1; .id()")
    async with stream(server, f"scope=//stuff&thing={root}") as events:
        name, data = await events.read()
        assert (name, data["thing"]["#"], data["thing"]["x"]) == ("watch.init", root, 1)
        assert events.last_id == str(data["event"])
        server.eval(".x = 'two\nlines \u2028'; .y = 2")
        name, data = await events.read()
        assert (name, data["#"]) == ("watch.update", root)
        assert data["jobs"] == [{"set": {"x": "two\nlines \u2028"}}, {"set": {"y": 2}}]
        assert events.last_id == str(data["event"]) == str(server.engine.last_change)


async def test_several_things_and_a_room(server: Server) -> None:
    a, b = server.eval(".a = {}; .b = {}; .room = room(); .room.set_name('lobby'); [.a.id(), .b.id()]")
    async with stream(server, f"scope=//stuff&thing={a}&thing={b}&room=lobby") as events:
        assert [(await events.read())[0] for _ in range(3)] == ["room.join", "watch.init", "watch.init"]
        server.eval(".a.x = 1; .b.x = 2; .room.emit('hello', 3); .a.y = 4")
        names = []
        for _ in range(4):
            name, data = await events.read()
            names.append((name, data.get("#", data.get("args"))))
        # What a query emits comes before the updates of its change; and only the last one has its id.
        assert names == [("room.emit", [3]), ("watch.update", a), ("watch.update", b), ("watch.update", a)]
        assert events.last_id == f"{server.engine.last_change}.{server.core.hub.history.number}"


async def test_a_room_by_id(server: Server) -> None:
    room = server.eval(".room = room(); .room.id()")
    async with stream(server, f"scope=//stuff&room={room}") as events:
        assert (await events.read())[0] == "room.join"
        number = server.core.hub.history.number + 1
        server.eval("emitter = .room; emitter.emit('tick', 1, [2]);")
        assert await events.read() == (
            "room.emit",
            {"scope": "@collection:stuff", "id": room, "event": "tick", "args": [1, [2]], "number": number},
        )
        server.eval(".del('room')")
        assert await events.read() == ("room.delete", {"scope": "@collection:stuff", "id": room})


async def test_a_thing_that_goes_and_one_that_is_not_there(server: Server) -> None:
    thing = server.eval(".a = {}; .a.id()")
    async with stream(server, f"scope=//stuff&thing={thing}&thing=999999") as events:
        assert (await events.read())[0] == "warning"
        assert (await events.read())[0] == "watch.init"
        server.eval(".del('a')")
        assert await events.read() == ("watch.delete", {"#": thing})


async def test_values_that_json_lacks(server: Server) -> None:
    root = server.eval(".id()")
    async with stream(server, f"scope=//stuff&thing={root}") as events:
        await events.read()
        server.eval(".b = bytes('ab'); .n = nan; .i = 9223372036854775807")
        _, data = await events.read()
        assert [list(job["set"].values()) for job in data["jobs"]] == [["YWI="], ["NaN"], ["9223372036854775807"]]


async def test_nothing_is_told_before_it_is_durable(server: Server) -> None:
    root = server.eval(".id()")
    async with stream(server, f"scope=//stuff&thing={root}") as events:
        await events.read()
        server.hold()
        server.eval(".x = 1")
        late = asyncio.create_task(events.next())
        while server.engine.last_change not in server.held:
            await asyncio.sleep(0)
        async with stream(server, f"scope=//stuff&thing={root}") as second:
            first_of_second = asyncio.create_task(second.next())
            await server.client().get("/status")
            assert not late.done() and not first_of_second.done()
            server.release()
            event, init = await late, await first_of_second
            assert event is not None and event.data["jobs"] == [{"set": {"x": 1}}]
            assert init is not None and init.data["thing"]["x"] == 1


async def test_one_encoding_for_all_streams(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    root = server.eval(".id()")
    async with contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(stream(server, f"scope=//stuff&thing={root}")) for _ in range(5)]
        for one in streams:
            await one.read()
        encoded = []
        event = type(EVENT_STREAM).event
        monkeypatch.setattr(
            type(EVENT_STREAM), "event", lambda self, kind, data: encoded.append(kind) or event(self, kind, data)
        )
        server.eval(".x = 1")
        assert {str(await one.read()) for one in streams} == {str(await _same(streams, server, root))}
        assert encoded == [UPDATE]


async def _same(streams: list[Stream], server: Server, root: int) -> tuple[str, Any]:
    return "watch.update", {"#": root, "event": server.engine.last_change, "jobs": [{"set": {"x": 1}}]}


# --- ids -------------------------------------------------------------------------------------------------------------


async def test_a_stream_begins_with_the_change_it_is_true_at(server: Server) -> None:
    server.eval(".room = room(); .room.set_name('lobby')")
    async with stream(server, "scope=//stuff&room=lobby") as events:
        await events.read()
        server.eval("room('lobby').emit('x')")
        await events.read()
        assert events.last_id == f"{server.engine.last_change}.{server.core.hub.history.number}"


async def test_a_silent_stream_gives_signs_of_life(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.core.ROUND", 0.05)
    server = await serve(ping_interval=1.0)
    server.core.start()
    thing = server.eval(".a = {}; .a.id()")
    async with stream(server, f"scope=//stuff&thing={thing}") as events:
        await events.read()
        server.eval(".b = 1")
        waiting = asyncio.create_task(events.next())
        while events.comments < 2:
            await asyncio.sleep(0.01)
        assert events.last_id == str(server.engine.last_change)  # though nothing was told of it
        server.eval(".a.x = 1")
        assert await waiting is not None


@pytest.mark.parametrize("header", [True, False])
async def test_a_stream_goes_on_where_it_broke_off(server: Server, header: bool) -> None:
    a, b = server.eval(".a = {}; .b = {}; .room = room(); .room.set_name('lobby'); [.a.id(), .b.id()]")
    query = f"scope=//stuff&thing={a}&thing={b}&room=lobby"
    async with stream(server, query) as events:
        for _ in range(3):
            await events.read()
        server.eval(".a.x = 1; .b.x = 1; .a.y = 1")
        for _ in range(3):
            await events.read()
    last = events.last_id
    assert last.split(".")[0] == str(server.engine.last_change)
    for n in range(2, 5):
        server.eval(".a.x = n; .b.x = n; room('lobby').emit('n', n)", n=n)
    server.eval(".del('b')")
    more = {"headers": {"Last-Event-ID": last}} if header else {}
    async with stream(server, query if header else f"{query}&since={last}", **more) as events:
        assert (await events.read())[0] == "room.join"
        for n in range(2, 5):
            assert (await events.read())[1]["args"] == [n]
        for n in range(2, 5):
            for thing in (a, b):
                name, data = await events.read()
                assert (name, data["#"], data["jobs"]) == ("watch.update", thing, [{"set": {"x": n}}])
        assert await events.read() == ("watch.delete", {"#": b})
        assert events.last_id.split(".")[0] == str(server.engine.last_change)
        server.eval(".a.x = 'live'")
        assert (await events.read())[1]["jobs"] == [{"set": {"x": "live"}}]


@pytest.mark.parametrize("last", ["", "none", "-1", "999999", "9" * 30])
async def test_a_stream_that_can_not_go_on_begins_anew(server: Server, last: str) -> None:
    root = server.eval(".x = 1; .id()")
    async with stream(server, f"scope=//stuff&thing={root}", headers={"Last-Event-ID": last}) as events:
        assert (await events.read())[0] == "watch.init"


async def test_what_was_missed_is_read_from_the_log(server: Server) -> None:
    root = server.eval(".x = 0; .id()")
    since = server.engine.last_change
    for n in range(1, 400):
        server.eval(".x = n", n=n)
    await asyncio.to_thread(server.committer.flush)
    server.engine.recent.reset(server.engine.last_change, server.engine.next_id)
    async with stream(server, f"scope=//stuff&thing={root}&since={since}") as events:
        for n in range(1, 400):
            assert (await events.read())[1]["jobs"] == [{"set": {"x": n}}]
        assert events.last_id == str(server.engine.last_change)


async def test_a_live_query(server: Server) -> None:
    server.eval(".list = range(40); .other = {}")
    query = "scope=//stuff&code=.list.filter(|x|+x+%3E+low)&vars=%7B%22low%22:1%7D"
    first = list(range(2, 40))
    async with stream(server, query) as events:
        name, data = await events.read()
        assert (name, data["value"], data["change"]) == ("live.update", first, server.engine.last_change)
        assert events.last_id == str(server.engine.last_change)
        server.eval(".list.push('last'.len())")
        name, data = await events.read()
        assert (name, data["change"]) == ("live.update", server.engine.last_change)
        assert data["patch"] == [{"op": "add", "path": "/38", "value": 4}]
        assert events.last_id == str(server.engine.last_change)
    last = {"Last-Event-ID": events.last_id}
    server.eval(".other.n = 2")
    async with stream(server, query, headers=last) as events:
        server.eval(".list.push(5)")
        assert (await events.read())[1]["patch"] == [{"op": "add", "path": "/39", "value": 5}]
    async with stream(server, query, headers=last) as events:
        assert (await events.read())[1]["value"] == [*first, 4, 5]
        server.eval(".del('list')")
        name, data = await events.read()
        assert (name, data["error_code"]) == ("live.end", -54)


async def test_a_live_procedure(server: Server) -> None:
    server.eval("new_procedure('big', |low| .list.filter(|x| x > low)); .list = [1, 2, 3]")
    async with stream(server, "scope=//stuff&procedure=big&args=%5B2%5D&interval=0.5") as events:
        assert (await events.read())[1]["value"] == [3]


FRAMES = st.lists(st.none() | st.integers(0, 5), max_size=12)


@given(FRAMES)
def test_an_id_names_a_change_that_is_told_whole(changes: list[int | None]) -> None:
    known = sorted(change for change in changes if change is not None)
    in_order = iter(known)
    changes = [None if change is None else next(in_order) for change in changes]
    frames = [Frame(b"data: %d\n" % position, change) for position, change in enumerate(changes)]
    events = list(numbered(list(frames)))
    assert len(events) == len(frames)
    last = None
    for position, event in enumerate(events):
        assert event.startswith(frames[position]) and event.endswith(b"\n\n") and event.count(b"\n\n") == 1
        head, _, number = event.strip().rpartition(b"\nid: ")
        if head:
            last = int(number)
            assert all(change is None or change > last for change in changes[position + 1 :])
            assert last in changes[: position + 1]
    assert last == (known[-1] if known else None)


@given(st.lists(st.sampled_from(["emit", "emit", "next", "next", "same", "none", "mark", "flush"]), max_size=40))
def test_a_position_names_exactly_the_events_of_rooms_that_came(steps: list[str]) -> None:
    position, change, number, under_way = Position(1, 100), 1, 100, False
    frames: list[Frame] = []
    told: list[bytes] = []
    made: list[Frame] = []
    for step in [*steps, "flush"]:
        if step == "flush":
            told += [event for event in numbered(list(frames), position) if event.strip()]
            frames.clear()
            under_way = False
            continue
        if step == "emit":
            number += 1
            frame = Frame(b"event: emit\n", None, number)
        elif step == "mark":
            frame = Frame(b"", change, number)
        elif step == "none":
            frame = Frame(b"event: join\n")
        else:
            # The updates of a change leave together, and what a query emits comes before them.
            change += step == "next" or not under_way
            frame = Frame(b"event: update\n", change)
        under_way = step in ("next", "same") or (under_way and step == "none")
        frames.append(frame)
        made.append(frame)
    frames = [frame for frame in made if frame]
    told = [event for event in told if event.startswith(b"event")]
    assert len(told) == len(frames)
    known = (1, 100)
    for place, event in enumerate(told, 1):
        _, _, new = event.strip().rpartition(b"\nid: ")
        if new[:1].isdigit():
            whole, _, last = new.partition(b".")
            assert (int(whole), int(last)) >= known
            known = int(whole), int(last)
        assert all((frame.change or 0) > known[0] for frame in frames[place:] if frame.change is not None)
        assert {frame.number for frame in frames[:place] if frame.number} == set(range(101, known[1] + 1))


async def test_a_room_goes_on_where_it_broke_off(server: Server) -> None:
    server.eval(".room = room(); .room.set_name('lobby');")
    seen = []
    last: dict[str, str] = {}
    for start in range(0, 12, 3):
        async with stream(server, "scope=//stuff&room=lobby", headers=last) as events:
            assert (await events.read())[0] == "room.join"
            if start:
                for _ in range(2):
                    seen.append((await events.read())[1]["args"][0])
            server.eval("room('lobby').emit('n', n)", n=start)
            seen.append((await events.read())[1]["args"][0])
            last = {"Last-Event-ID": events.last_id}
        for n in (start + 1, start + 2):
            server.eval("room('lobby').emit('n', n)", n=n)
    assert seen == list(range(10))


async def test_a_room_whose_history_is_gone_says_so(server: Server) -> None:
    room = server.eval(".room = room(); .room.set_name('lobby'); .room.id()")
    async with stream(server, "scope=//stuff&room=lobby&since=1.5") as events:
        name, data = await events.read()
        assert (name, data["warn_code"], data["rooms"]) == ("warning", 5, [room])
        assert (await events.read())[0] == "room.join"


# --- logins ----------------------------------------------------------------------------------------------------------


async def test_a_token_in_the_query_string(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    root = server.eval(".id()")
    for _ in range(8):  # some have a plus sign or a slash
        token = server.eval("new_token('admin')", "@t")
        for written in (token, quote(token, safe="")):
            async with stream(server, f"scope=//stuff&thing={root}&token={written}", auth=None) as events:
                assert events.response.headers["access-control-allow-origin"] == "*"
                assert (await events.read())[0] == "watch.init"
        assert token not in "".join(record.getMessage() for record in caplog.records if record.name != "httpx")


@pytest.mark.parametrize("query", ["", "&token=", "&token=aaaaaaaaaaaaaaaaaaaaaa"])
async def test_strangers_get_no_stream(server: Server, query: str) -> None:
    got = await refused(server, f"scope=//stuff&thing=1{query}", auth=None)
    assert got == (401, "UNAUTHORIZED\r\n")
    assert not server.core.connections


async def test_a_right_that_is_lost_ends_the_watch(server: Server) -> None:
    server.eval("new_user('eve'); set_password('eve', 'e'); grant('//stuff', 'eve', JOIN)", "@t")
    root = server.eval(".id()")
    async with stream(server, f"scope=//stuff&thing={root}", auth=("eve", "e")) as events:
        await events.read()
        server.eval("revoke('//stuff', 'eve', JOIN)", "@t")
        assert await events.read() == ("watch.stop", {"#": root})
    assert (await refused(server, f"scope=//stuff&thing={root}", auth=("eve", "e")))[0] == 403


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400), ("scope=//stuff", 400), ("thing=1", 400), ("scope=//stuff&thing=x", 400), ("%", 400),
        ("scope=//stuff&thing=-1", 400), ("scope=//stuff&thing=1&scope=//stuff", 400), ("scope=//stuff&things=1", 400),
        ("scope=//stuff&thing=1&token=a&token=b", 400), ("scope=//stuff&thing=%FF", 400),
        ("scope=//nowhere&thing=1", 404),
        ("scope=/t&thing=1", 404), ("scope=x&thing=1", 422), ("scope=//stuff&room=nowhere", 404),
        ("scope=//stuff&room=999", 404), ("scope=/t&room=x", 400), ("scope=//stuff&thing=" + "9" * 30, 400),
        ("scope=//stuff" + "&thing=1" * 1001, 400), ("scope=//stuff&thing=1&since=x", 400),
        ("scope=//stuff&thing=1&code=1", 400), ("scope=//stuff&code=1&code=1", 400), ("scope=//stuff&vars=%7B%7D", 400),
        ("scope=//stuff&code=1&vars=x", 400), ("scope=//stuff&code=1&vars=1", 400), ("scope=//stuff&code=.x=1", 422),
        ("scope=//stuff&code=1%2B", 400), ("scope=//stuff&procedure=none", 404), ("scope=//none&code=1", 404),
        ("scope=//stuff&code=1&procedure=p", 400), ("scope=//stuff&code=1&interval=x", 400),
    ],
)  # fmt: skip
async def test_requests_that_are_refused(server: Server, query: str, status: int) -> None:
    got, text = await refused(server, query)
    assert got == status and text.endswith(")\r\n")
    assert not server.core.connections and not server.core.sessions
    assert server.core.hub.subscriptions == (0, 0)


async def test_whitelisted_rooms(server: Server) -> None:
    server.eval(".a = room(); .a.set_name('open'); .b = room(); .b.set_name('closed');")
    server.eval(
        "new_user('eve'); set_password('eve', 'e'); grant('//stuff', 'eve', JOIN);"
        "whitelist_add('eve', 'rooms', 'open')",
        "@t",
    )
    async with stream(server, "scope=//stuff&room=open", auth=("eve", "e")) as events:
        assert (await events.read())[0] == "room.join"
    assert (await refused(server, "scope=//stuff&room=closed", auth=("eve", "e")))[0] == 403
    assert (await refused(server, "scope=//stuff&room=open&room=closed", auth=("eve", "e")))[0] == 404


# --- ends and limits -------------------------------------------------------------------------------------------------


async def test_a_client_that_leaves_is_forgotten(server: Server) -> None:
    root = server.eval(".id()")
    async with stream(server, f"scope=//stuff&thing={root}") as events:
        await events.read()
        assert server.core.hub.subscriptions == (1, 0)
        assert [connection.kind for connection in server.core.connections] == ["events"]
        assert server.http.connections == 0
    while server.core.connections:
        await asyncio.sleep(0.001)
    assert server.core.hub.subscriptions == (0, 0)


async def test_a_slow_reader_is_disconnected_and_nobody_else(serve: Serve) -> None:
    server = await serve(max_outgoing=64 << 10)
    root = server.eval(".id()")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.config.http_port, limit=1024)
    token = server.eval("new_token('admin')", "@t")
    writer.write(
        f"GET /events?scope=//stuff&thing={root} HTTP/1.1\r\nHost: x\r\nAuthorization: Token {token}\r\n\r\n".encode()
    )
    await reader.readuntil(b"\n\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    async with stream(server, f"scope=//stuff&thing={root}") as events:
        await events.read()
        for number in range(1000):
            server.eval(".x = x", x="x" * 100_000 + str(number))
            assert (await events.read())[1]["jobs"][0]["set"]["x"].endswith(str(number))
            if len(server.core.sessions) == 1:
                break
        assert len(server.core.sessions) == 1
    writer.transport.abort()


async def test_more_streams_than_allowed(serve: Serve) -> None:
    server = await serve(max_connections=1)
    root = server.eval(".id()")
    async with stream(server, f"scope=//stuff&thing={root}"):
        status, text = await refused(server, f"scope=//stuff&thing={root}")
        assert status == 503 and text.endswith("(-51)\r\n")
        assert len(server.core.connections) == 1


async def test_the_end_of_the_server(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    root = server.eval(".id()")
    async with stream(server, f"scope=//stuff&thing={root}") as events:
        await events.read()
        server.core.announce("SHUTTING_DOWN")
        assert await events.read() == ("node.status", {"id": 0, "status": "SHUTTING_DOWN"})
        # A browser comes again when this fails, but would not after a reply.
        with pytest.raises(httpx.TransportError):
            await server.client().get(f"{server.url}/events?scope=//stuff&thing={root}")
        for connection in server.core.connections:
            connection.finish(connection.goodbye("the server shuts down", 1001, told=True))
        assert await events.next() is None
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_client_that_leaves_while_its_stream_begins(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = server.eval(".id()")
    token = server.eval("new_token('admin')", "@t")
    subscribing = asyncio.Event()

    async def late(core: Any, request: Any, credentials: Any) -> Any:
        subscribing.set()
        request.scope["state"]["connection"].transport.abort()
        return server.engine.users["admin"]

    monkeypatch.setattr("server.http.streams.login", late)
    head = f"GET /events?scope=//stuff&thing={root} HTTP/1.1\r\nHost: x\r\nAuthorization: Token {token}\r\n\r\n"
    with contextlib.suppress(ConnectionError):
        assert await server.raw(head.encode()) == b""
    assert subscribing.is_set()
    while server.http.connections:
        await asyncio.sleep(0.001)
    assert not server.core.connections and server.core.hub.subscriptions == (0, 0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_what_comes_in_is_thrown_away(server: Server) -> None:
    root = server.eval(".id()")
    token = server.eval("new_token('admin')", "@t")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.config.http_port)
    head = f"GET /events?scope=//stuff&thing={root} HTTP/1.1\r\nHost: x\r\nAuthorization: Token {token}\r\n\r\n"
    writer.write(head.encode() + b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * 100_000)
    await reader.readuntil(b"watch.init")
    server.eval(".x = 1")
    await reader.readuntil(b"watch.update")
    writer.transport.abort()


async def test_no_memory_is_left_behind(server: Server) -> None:
    root = server.eval(".id()")

    async def once() -> None:
        async with stream(server, f"scope=//stuff&thing={root}") as events:
            await events.read()
        while server.core.connections:
            await asyncio.sleep(0.001)

    await once()
    gc.collect()
    for _ in range(3):
        await once()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        left = [
            type(thing).__name__ for thing in gc.garbage if type(thing).__module__.startswith(("uvicorn", "server"))
        ]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert not left, left


@pytest.mark.skipif(not (shutil.which("curl") or os.environ.get("CI")), reason="there is no curl")
async def test_curl(server: Server) -> None:
    root = server.eval(".id()")
    curl = await asyncio.create_subprocess_exec(
        "curl", "-sN", "-u", "admin:pass", f"{server.url}/events?scope=//stuff&thing={root}",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert curl.stdout is not None
    assert await asyncio.wait_for(curl.stdout.readline(), 20) == b"retry: 2000\n"
    await curl.stdout.readuntil(b"\nevent: watch.init\n")
    server.eval(".x = 1")
    await asyncio.wait_for(curl.stdout.readuntil(b"\nevent: watch.update\n"), 20)
    curl.kill()
    await curl.wait()
