"""Who may do what over HTTP: every operation that needs a right, against every combination of access flags
(spec/admin-and-protocol.md, sections 7 and 8)."""

from __future__ import annotations

from typing import Any

import httpx
import msgpack
import pytest

from engine.users import CHANGE, JOIN, QUERY, RUN
from tests.admin.test_rights import ALL_MASKS
from tests.http.conftest import Server, serve, server  # noqa: F401  (fixtures)

READ, WRITE = {"type": "query", "code": "1"}, {"type": "query", "code": ".n = 1"}
RUN_READ, RUN_WRITE = {"type": "run", "name": "read"}, {"type": "run", "name": "write"}

POSTS: list[tuple[str, str, dict[str, Any], int]] = [
    ("//stuff", "//stuff", READ, QUERY),
    ("//stuff", "//stuff", WRITE, QUERY | CHANGE),
    ("//stuff", "//stuff", {"type": "query", "code": "read()"}, QUERY),
    ("//stuff", "//stuff", {"type": "query", "code": "wse(write())"}, QUERY | CHANGE),
    ("//stuff", "//stuff", {"type": "query", "code": "room('hall').emit('e')"}, QUERY),
    ("//stuff", "//stuff", RUN_READ, RUN),
    ("//stuff", "//stuff", RUN_WRITE, RUN | CHANGE),
    ("/t", "@t", READ, QUERY),
    ("/t", "@t", {"type": "query", "code": "new_collection('c')"}, QUERY | CHANGE),
    ("/t", "@t", RUN_READ, RUN),
    ("/t", "@t", RUN_WRITE, RUN | CHANGE),
    ("/n", "@n", READ, QUERY),
    ("/n", "@n", {"type": "query", "code": "wse(1)"}, QUERY),
    ("/n", "@n", {"type": "query", "code": "reset_counters()"}, QUERY | CHANGE),
]
"""Path, scope, body, and the rights that it takes on the scope."""

STREAMS = ["thing={thing}", "room=hall", "room={room}", "thing={thing}&room=hall", "thing={thing}&deep=2"]
"""What a stream of events can be asked for; each takes JOIN."""


@pytest.fixture
def place(server: Server) -> Server:  # noqa: F811
    """A server with the user `iris`, procedures, a room and a thing."""
    server.eval(
        "new_user('iris'); new_procedure('read', || 1); new_procedure('write', || set_quota('stuff', 'things', nil))",
        "@t",
    )
    server.eval("new_procedure('read', || 1); new_procedure('write', || .n = 1)")
    server.eval(".room = room(); .room.set_name('hall'); .x = {}; nil")
    return server


def iris(server: Server) -> httpx.AsyncClient:  # noqa: F811
    token = server.eval("new_token('iris')", "@t")
    return server.client(auth=None, headers={"Authorization": f"Bearer {token}"})


def allow(server: Server, scope: str, mask: int) -> None:  # noqa: F811
    """Give iris exactly these rights on a scope."""
    server.engine.scope(scope).access[server.engine.users["iris"].id] = mask


@pytest.mark.parametrize(("path", "scope", "body", "right"), POSTS)
async def test_queries_and_runs(place: Server, path: str, scope: str, body: dict[str, Any], right: int) -> None:
    client = iris(place)
    for mask in ALL_MASKS:
        allow(place, scope, mask)
        if body["type"] == "query" and "new_collection" in body["code"] and mask & right == right:
            place.eval("try(del_collection('c')); nil", "@t")
        for media, content in (("application/json", None), ("application/msgpack", msgpack.packb(body))):
            reply = (
                await client.post(f"{place.url}{path}", json=body)
                if content is None
                else await client.post(f"{place.url}{path}", content=content, headers={"Content-Type": media})
            )
            if mask & right != right:
                assert (reply.status_code, reply.text[-8:]) == (403, " (-55)\r\n"), mask
            else:
                assert reply.status_code in (200, 404), (mask, reply.text)  # 404: the collection is there already


@pytest.mark.parametrize("asked", STREAMS)
async def test_event_streams(place: Server, asked: str) -> None:
    thing, room = place.eval("[.x.id(), .room.id()]")
    url = f"/events?scope=//stuff&{asked.format(thing=thing, room=room)}"
    client = iris(place)
    for mask in ALL_MASKS:
        allow(place, "//stuff", mask)
        async with client.stream("GET", url) as reply:
            if mask & JOIN:
                assert reply.status_code == 200, mask
            else:
                assert reply.status_code == 403, mask
                assert (await reply.aread()).endswith(b" (-55)\r\n")


async def test_rights_elsewhere_are_worth_nothing(place: Server) -> None:
    client = iris(place)
    for path, scope, *_ in POSTS:
        for other in ("//stuff", "@t", "@n"):
            allow(place, other, 0 if other == scope else 31)
        assert (await client.post(f"{place.url}{path}", json=READ)).status_code == 403


async def test_whitelists(place: Server) -> None:
    client = iris(place)
    allow(place, "//stuff", 31)
    place.eval("whitelist_add('iris', 'procedures', 'write'); whitelist_add('iris', 'rooms', /^other/)", "@t")
    assert (await client.post(f"{place.url}//stuff", json=RUN_READ)).status_code == 403
    assert (await client.post(f"{place.url}//stuff", json=RUN_WRITE)).status_code == 200
    assert (await client.get("/events?scope=//stuff&room=hall")).status_code == 403
    place.eval("whitelist_add('iris', 'rooms', /ll$/)", "@t")
    async with client.stream("GET", "/events?scope=//stuff&room=hall") as reply:
        assert reply.status_code == 200


async def test_nobody_gets_in_without_a_login(place: Server) -> None:
    client = place.client(auth=None)
    for path, _, body, _ in POSTS:
        assert (await client.post(f"{place.url}{path}", json=body)).status_code == 401
    for asked in STREAMS:
        assert (await client.get(f"/events?scope=//stuff&{asked.format(thing=1, room=2)}")).status_code == 401
