"""Tasks of a server that is killed while it runs them: each runs once (spec/time-and-procedures.md, section 4)."""

from __future__ import annotations

import signal
from typing import Any

from server.native import DATA, QUERY
from tests.server.fakes import Client
from tests.server.test_serve import Server, Start, start  # noqa: F401  (a fixture)

TASKS = 120
KILLED_AT = (1, 20, 50, 80)
"""When so many have run, the server is killed."""


async def ask(client: Client, code: str, variables: Any = None) -> Any:
    kind, value = await client.request(QUERY, ["//stuff", code, variables])
    assert kind == DATA, value
    return value


async def test_each_runs_once_though_the_server_is_killed(start: Start) -> None:  # noqa: F811
    async def started() -> tuple[Server, Client]:
        server = await start()
        await server.ready()
        return server, await server.client()

    server, client = await started()
    # Some are due at once, some within the next seconds; some make more than one change; some come back once.
    made = await ask(
        client,
        """
        .runs = []; .late = [];
        again = |task, n| {
            .runs.push([task.id(), n]);
            if (n == 0) { task.set_args([1]); task.again_in('seconds', 1) };
        };
        once = |task, n| { .runs.push([task.id(), n]) };
        future_too = |task, n| { .runs.push([task.id(), n]); i = task.id(); future(|i| .late.push(i)) };
        range(count).map(|i| {
            task(datetime().move('seconds', i / 40), [once, again, future_too][i % 3], [0]).id();
        });
        """,
        {"count": TASKS},
    )
    expected = {(number, 0) for number in made} | {(number, 1) for number in made[1::3]}
    for limit in (*KILLED_AT, None):
        while True:
            runs, open_tasks = await ask(client, "return [.runs, tasks().filter(|t| t).len()], 3")
            assert len({tuple(run) for run in runs}) == len(runs), "one ran twice"
            if open_tasks == 0 or (limit is not None and len(runs) >= limit):
                break
        if limit is not None:
            await server.end(signal.SIGKILL)
            server, client = await started()
    runs = {tuple(run) for run in await ask(client, "return .runs, 3")}
    interrupted = await ask(client, "tasks().map(|t| [t.id(), t.err().code()])")
    assert runs == expected
    late = await ask(client, ".late")
    assert len(set(late)) == len(late)
    # A kill between a task's change and that of its future leaves the task, which says so.
    assert {code for _, code in interrupted} <= {-64}
    assert set(late) | {number for number, _ in interrupted} == set(made[2::3])
    assert len(interrupted) <= len(KILLED_AT)
    assert await server.end() == 0
