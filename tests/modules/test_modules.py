"""Modules as processes beside a real server: asked, failing in every way, restarted, configured, kept."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ValueFailed
from server.native import AUTH, DATA, EVENT_ID, OK, QUERY
from tests.server.fakes import Client, bytes_of, within
from tests.serving import Server

PROGRAMS = Path(__file__).with_name("programs")
CANCELLED, OPERATION, FORBIDDEN, LOOKUP, BAD_DATA = -64, -63, -55, -54, -53


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with the module `many`."""
    with Server(tmp_path, more=("--modules-path", tmp_path / "modules", "--module-time", "2")) as made:
        yield made
    assert "Traceback" not in made.said


async def connected(server: Server) -> Client:
    client = Client(*await within(asyncio.open_connection("127.0.0.1", server.tcp)))
    assert await client.request(AUTH, ["admin", "pass"]) == (OK, None)
    return client


async def ask(client: Client, code: str, scope: str = "//stuff") -> Any:
    """The result of a query, or the code of its error; events are left out."""
    client.send(bytes_of(QUERY, [scope, code]))
    while True:
        package_id, kind, data = await client.read()
        if package_id != EVENT_ID:
            return data if kind == DATA else data["error_code"]


async def installed(server: Server, conf: str = "nil") -> Client:
    """A client of a server on which the module `many` runs."""
    client = await connected(server)
    program = (PROGRAMS / "many.py").read_bytes()
    assert await ask(client, f"new_module('many', 'many.py', {conf});", "@t") is None
    assert await ask(client, "module_info('many').load().status;", "@t") == "module not installed"
    client.send(bytes_of(QUERY, ["@t", "deploy_module('many', code);", {"code": program}]))
    assert (await client.read())[1] == DATA
    await running(client)
    return client


async def running(client: Client) -> None:
    """Wait until the module runs."""
    while (status := await ask(client, "module_info('many').load().status;", "@t")) != "running":
        assert status != "module not installed"
        await asyncio.sleep(0.02)


async def test_answers(server: Server) -> None:
    client = await installed(server, "{greeting: 'hi', more: {deeper: {still: 1}}}")
    request = "future({module: 'many', do: 'echo', x: [1, {y: 2}], load: true})"
    answer = await ask(client, f"{request}.then(|r| r.x[0]);")
    assert answer == 1
    assert await ask(client, "many({do: 'echo', x: 5}, 'more').then(|r, more| [r.load().x, more]);") == [5, "more"]
    whole = await ask(client, "many({do: 'echo', x: 5}, 7);")
    assert whole == [{"do": "echo", "x": 5}, 7]
    conf = {"greeting": "hi", "more": {"deeper": {"still": 1}}}
    assert await ask(client, "many({do: 'conf'}).then(|r| r);") == conf
    request = {"do": "echo", "deep": 2, "a": {"b": {}}}
    assert await ask(client, "many({do: 'echo', deep: 2, a: {b: {c: 1}}}).then(|r| r);") == request
    assert await ask(client, ".n = 0; many({do: 'echo', x: 5, load: true}).then(|r| .n = r.x); 'now';") == "now"
    assert await ask(client, ".n;") == 5
    assert await ask(client, "set_module_conf('many', 3);", "@t") is None
    assert await ask(client, "many({do: 'conf', load: true}).then(|r| r);") == 3


FAILURES = [
    ("{do: 'fail', code: -100}", -100),
    ("{do: 'fail', code: -60}", -60),
    ("{do: 'fail', code: 3}", BAD_DATA),
    ("{do: 'nothing'}", BAD_DATA),
    ("{do: 'half'}", BAD_DATA),
    ("{do: 'kind'}", BAD_DATA),
    ("{do: 'garbage'}", CANCELLED),
    ("{do: 'huge'}", CANCELLED),
    ("{do: 'exit'}", CANCELLED),
]


async def test_failures_are_errors_that_else_sees(server: Server) -> None:
    client = await installed(server)
    for request, code in FAILURES:
        assert await ask(client, f"many({request}).then(|| 'no');") == code, request
        await running(client)
        assert await ask(client, f".seen = nil; many({request}, 4).else(|e, x| .seen = [e.code(), x]);") == [code, 4]
        assert await ask(client, ".seen;") == [code, 4]
        await running(client)
        assert await ask(client, "many({do: 'echo'}).then(|| 'well');") == "well"
        assert await ask(client, "restart_module('many');", "@n") is None  # it may end three times more
        await running(client)


async def test_a_module_that_does_not_answer(server: Server) -> None:
    client, other = await installed(server), await connected(server)
    client.send(bytes_of(QUERY, ["//stuff", ".first = 1; many({do: 'deaf'}).then(|| 1);"], 1))
    client.send(bytes_of(QUERY, ["//stuff", "'behind';"], 2))
    while await ask(other, "module_info('many').load().tasks;", "@n") != 1:
        await asyncio.sleep(0.01)
    assert await ask(other, ".first;") == 1  # others are served, and see what was changed before
    assert (await client.read())[::2] == (
        1,
        {"error_code": CANCELLED, "error_msg": "the module many did not answer within 2 s"},
    )
    assert (await client.read())[::2] == (2, "behind")


async def test_requests_run_at_the_same_time(server: Server) -> None:
    client = await installed(server)
    code = "many({do: 'late', seconds: 0.2, load: true}, 1); many({do: 'echo', load: true}).then(|r| .order = 'echo');"
    assert await ask(client, f".order = nil; f = {code}; .order;") is None
    assert await ask(client, ".order;") == "echo"
    both = (
        "a = many({do: 'late', seconds: 0.1, load: true}); b = many({do: 'echo', x: 1, load: true}); future(nil, a, b)"
    )
    assert await ask(client, both + ".then(|_, a, b| 'started');") == "started"


async def test_a_module_that_ends_is_started_again_three_times(server: Server) -> None:
    client = await installed(server)
    pids = set()
    for _ in range(4):
        await running(client)
        pid = await ask(client, "many({do: 'pid', load: true}).then(|pid| pid);")
        pids.add(pid)
        os.kill(pid, signal.SIGKILL)
        while await ask(client, "module_info('many').load().status;", "@t") == "running":
            await asyncio.sleep(0.01)
    assert len(pids) == 4
    status = await ask(client, "module_info('many').load().status;", "@t")
    assert status.startswith("the process ended")
    assert await ask(client, "many({do: 'echo'});") == OPERATION
    assert await ask(client, "many({do: 'echo'}).else(|e| e.code());") == OPERATION
    assert await ask(client, "restart_module('many');", "@n") is None
    await running(client)
    assert await ask(client, "many({do: 'echo'}).then(|| 'again');") == "again"


async def test_who_may_use_it(server: Server) -> None:
    client = await installed(server)
    assert await ask(client, "set_module_scope('many', '//stuff');", "@t") is None
    assert await ask(client, "many({do: 'echo'}).then(|| 1);") == 1
    assert await ask(client, "many({do: 'echo'}).then(|| 1);", "@t") == FORBIDDEN
    assert await ask(client, "rename_module('many', 'lots'); module_info('lots').load().name;", "@t") == "lots"
    assert await ask(client, "many({do: 'echo'}).then(|| 1);") == LOOKUP
    while await ask(client, "module_info('lots').load().status;", "@t") != "running":
        await asyncio.sleep(0.02)
    assert await ask(client, "lots({do: 'echo'}).then(|| 1);") == 1
    assert await ask(client, "del_module('lots');", "@t") is None
    assert await ask(client, "lots({do: 'echo'});") == LOOKUP


async def test_a_module_that_refuses_its_configuration(server: Server) -> None:
    client = await connected(server)
    program = (PROGRAMS / "many.py").read_bytes()
    assert await ask(client, "new_module('many', 'many.py', 'no');", "@t") is None
    client.send(bytes_of(QUERY, ["@t", "deploy_module('many', code);", {"code": program}]))
    assert (await client.read())[1] == DATA
    while "refused" not in await ask(client, "module_info('many').load().status;", "@t"):
        await asyncio.sleep(0.02)
    assert await ask(client, "many({do: 'echo'});") == OPERATION
    assert await ask(client, "set_module_conf('many', 'yes');", "@t") is None
    await running(client)
    assert await ask(client, "many({do: 'conf', load: true}).then(|r| r);") == "yes"


async def test_modules_survive_the_server(server: Server) -> None:
    client = await installed(server, "{a: 1}")
    pid = await ask(client, "many({do: 'pid', load: true}).then(|pid| pid);")
    server.stop(signal.SIGKILL)
    server.start()
    client = await connected(server)
    await running(client)
    assert await ask(client, "many({do: 'conf', load: true}).then(|r| r.a);") == 1
    second = await ask(client, "many({do: 'pid', load: true}).then(|pid| pid);")
    assert second != pid
    server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)


async def test_a_task_asks_a_module(server: Server) -> None:
    client = await installed(server)
    code = "many({do: 'late', seconds: 0.1, load: true}).then(|r| .answer = r)"
    await ask(client, f"task(datetime(), || {{{code}; nil}});")
    while await ask(client, ".has('answer');") is not True:
        await asyncio.sleep(0.02)
    assert await ask(client, ".answer;") == "late"
    assert await ask(client, "tasks();") == []


async def test_what_a_client_asked_is_done_though_it_is_gone(server: Server) -> None:
    client, other = await installed(server), await connected(server)
    client.send(bytes_of(QUERY, ["//stuff", "many({do: 'late', seconds: 0.1, load: true}).then(|r| .answer = r);"]))
    while await ask(other, "module_info('many').load().tasks;", "@n") != 1:
        await asyncio.sleep(0.01)
    client.writer.close()
    while await ask(other, ".has('answer');") is not True:
        await asyncio.sleep(0.02)


async def unfinished(server: Server) -> int:
    """How many futures have not finished."""
    reader, writer = await within(asyncio.open_connection("127.0.0.1", server.http))
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    page = (await within(reader.read())).decode()
    writer.close()
    return int(float(page.partition("\nlivethings_futures ")[2].partition("\n")[0]))


LEFT = [
    ("{do: 'late', seconds: 0.2}", ".then(|r| .answer = r)"),
    ("{do: 'late', seconds: 0.2}", ".then(|| raise('no'))"),
    ("{do: 'late', seconds: 0.2}", ".then(|| future(nil))"),
    ("{do: 'late', seconds: 0.2}", ""),
    ("{do: 'exit'}", ""),
    ("{do: 'deaf'}", ".else(|e| e.code())"),
]
"""Requests to a module, and what is to be done with the answer."""


async def test_no_future_is_left_of_those_who_did_not_wait(server: Server) -> None:
    other = await installed(server)
    for request, rest in LEFT:
        await running(other)
        before = await ask(other, "module_info('many').load().restarts;", "@n")
        client = await connected(server)
        code = f"many({request}){rest}; many({request}){rest}; future(nil); wse(nil);"
        client.send(bytes_of(QUERY, ["//stuff", code]))
        while not await unfinished(server) and before == await ask(other, "module_info('many').load().restarts;", "@n"):
            await asyncio.sleep(0.005)
        client.writer.transport.abort()
        while await unfinished(server):
            await asyncio.sleep(0.02)
    assert await ask(other, "1 + 1;") == 2


async def test_without_a_folder_no_module_runs(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        client = await connected(server)
        assert await ask(client, "new_module('many', 'many.py');", "@t") is None
        assert "--modules-path" in await ask(client, "module_info('many').load().status;", "@t")
        assert await ask(client, "deploy_module('many', 'import os');", "@t") == OPERATION
        assert await ask(client, "many({});") == OPERATION


@pytest.mark.parametrize("source", ["", "/etc/passwd", "../other.py", "a/./b.py", "é.py", "github.com/only"])
def test_sources_stay_in_their_folder(query: Callable[..., Any], source: str) -> None:
    with pytest.raises(ValueFailed):
        query("new_module('m', source)", {"source": source}, scope="@t")


async def test_the_module_of_the_documentation(server: Server) -> None:
    text = (Path(__file__).parents[2] / "docs" / "modules.md").read_text()
    code = text.partition("```python\n")[2].partition("```")[0]
    client = await connected(server)
    assert await ask(client, "new_module('hello', 'hello.py', {any: 'thing'});", "@t") is None
    client.send(bytes_of(QUERY, ["@t", "deploy_module('hello', code);", {"code": code}]))
    assert (await client.read())[1] == DATA
    while await ask(client, "module_info('hello').load().status;", "@t") != "running":
        await asyncio.sleep(0.02)
    assert await ask(client, "hello({name: 'Iris'}).then(|answer| answer.load());") == "Hello, Iris!"


async def test_modules_over_http(server: Server) -> None:
    client = await installed(server)
    body = b'{"type": "query", "code": "many({do: \'echo\', x: 4, load: true}).then(|r| r.x);"}'
    reader, writer = await within(asyncio.open_connection("127.0.0.1", server.http))
    writer.write(
        b"POST /collection/stuff HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWRtaW46cGFzcw==\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    assert (await within(reader.read())).endswith(b"\r\n\r\n4")
    client.writer.close()
