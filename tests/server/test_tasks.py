"""Tasks are run by the server, also those that it missed while it was down."""

from __future__ import annotations

import signal

from server.native import DATA, EVENT_ID, OK, QUERY, WATCH
from tests.server.test_serve import Start, start  # noqa: F401  (a fixture)
from watch.events import WATCH_INIT, WATCH_UPDATE


async def test_a_task_that_was_missed(start: Start) -> None:  # noqa: F811
    server = await start()
    await server.ready()
    client = await server.client()
    code = ".ran = []; task(datetime().move('seconds', 2), |t| {.ran.push(t.id()); t.again_in('years', 1)}).id()"
    kind, number = await client.request(QUERY, ["//stuff", code])
    assert kind == DATA
    await server.end(signal.SIGKILL)

    server = await start()
    await server.ready()
    client = await server.client()
    kind, root = await client.request(QUERY, ["//stuff", ".id()"])
    assert kind == DATA
    assert await client.request(WATCH, ["//stuff", root]) == (OK, None)
    event, kind, init = await client.read()
    assert (event, kind) == (EVENT_ID, WATCH_INIT)
    if init["thing"]["ran"] == []:
        event, kind, update = await client.read()
        assert (event, kind) == (EVENT_ID, WATCH_UPDATE)
        assert update["jobs"] == [{"splice": {"ran": [0, 0, number]}}]
    code = "[.ran, tasks().map(|t| t.id()), tasks()[0].at() > datetime(), tasks()[0].err()]"
    assert await client.request(QUERY, ["//stuff", code]) == (DATA, [[number], [number], True, None])
    assert await server.end() == 0
