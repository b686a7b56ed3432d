"""`livethings serve` as a process: start, stop, and starts that fail. The engine and the store are the real ones."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from engine.store import SqliteStore, StoreError
from server.app import App
from server.config import Config
from server.native import AUTH, DATA, ERROR, EVENT_ID, NODE_STATUS, OK, QUERY, WATCH
from tests.server.fakes import Client, bytes_of, free_ports, within
from watch.events import WATCH_DELETE, WATCH_INIT

ROOT = Path(__file__).parents[2]


class Server:
    """A server process and how to reach it."""

    def __init__(self, process: asyncio.subprocess.Process, tcp: int, ws: int, http: int) -> None:
        self.process = process
        self.tcp, self.ws, self.http = tcp, ws, http

    async def ready(self) -> str:
        assert self.process.stdout is not None
        line = (await within(self.process.stdout.readline())).decode()
        if not line:
            pytest.fail(f"the server did not start: {await self.said()}")
        return line

    async def said(self) -> str:
        """What it has written to stderr, once it has ended."""
        assert self.process.stderr is not None
        return (await within(self.process.stderr.read())).decode()

    async def client(self) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.tcp)
        client = Client(reader, writer)
        assert await client.request(AUTH, ["admin", "pass"]) == (OK, None)
        return client

    async def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return await within(self.process.wait())


Start = Callable[..., Awaitable[Server]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts servers on the same data folder."""
    servers: list[Server] = []

    async def run(*arguments: str, **environment: str) -> Server:
        tcp, ws, http = free_ports(3)
        settings = {
            "DATA_DIR": str(tmp_path / "data"),
            "TCP_PORT": str(tcp),
            "WS_PORT": str(ws),
            "HTTP_PORT": str(http),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "server.cli", "serve", *arguments,
            cwd=ROOT,
            env=os.environ | {f"LIVETHINGS_{name}": value for name, value in (settings | environment).items()},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        servers.append(Server(process, tcp, ws, http))
        return servers[-1]

    yield run
    for server in servers:
        if server.process.returncode is None:
            server.process.kill()
            await server.process.wait()


async def status(server: Server, path: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.http)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = (await within(reader.read(-1))).decode()
    writer.close()
    return answer.rpartition("\r\n")[2].strip()


async def test_ready_says_where(start: Start) -> None:
    server = await start()
    line = await server.ready()
    for address in (f"127.0.0.1:{server.tcp}", f"ws://127.0.0.1:{server.ws}/", f"http://127.0.0.1:{server.http}/"):
        assert address in line
    assert f"open http://127.0.0.1:{server.ws}/ in a browser" in line
    assert await status(server, "/ready") == "OK"
    assert await status(server, "/status") == "READY"
    assert await server.end() == 0
    assert "change it" in await server.said()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_clean_stop(start: Start, number: int) -> None:
    server = await start()
    await server.ready()
    plain, watcher = await server.client(), await server.client()
    assert await watcher.request(WATCH, ["@n"]) == (OK, None)
    async with connect(f"ws://127.0.0.1:{server.ws}/") as socket:
        await socket.send('{"jsonrpc": "2.0", "id": 1, "method": "auth", "params": ["admin", "pass"]}')
        await within(socket.recv())
        assert await plain.request(QUERY, ["//stuff", ".x = 7"]) == (DATA, 7)
        ended = asyncio.create_task(server.end(number))
        assert await plain.read() == (EVENT_ID, NODE_STATUS, {"id": 0, "status": "SHUTTING_DOWN"})
        assert await watcher.read() == (EVENT_ID, NODE_STATUS, "SHUTTING_DOWN")
        # Open connections are served on, new ones are refused.
        assert await plain.request(QUERY, ["//stuff", ".x += 1"]) == (DATA, 8)
        with pytest.raises(OSError, match=r"."):
            await asyncio.open_connection("127.0.0.1", server.tcp)
        assert await plain.read() == (EVENT_ID, NODE_STATUS, {"id": 0, "status": "OFFLINE"})
        assert await watcher.read() == (EVENT_ID, NODE_STATUS, "OFFLINE")
        assert await plain.closed() == b""
        assert '"SHUTTING_DOWN"' in str(await within(socket.recv()))
        assert '"OFFLINE"' in str(await within(socket.recv()))
        await within(socket.wait_closed())
        assert socket.close_code == 1001
        assert await ended == 0
    again = await start()
    await again.ready()
    client = await again.client()
    assert await client.request(QUERY, ["//stuff", ".x"]) == (DATA, 8)
    assert await again.end() == 0


async def test_requests_in_flight_are_answered(start: Start) -> None:
    server = await start()
    await server.ready()
    client = await server.client()
    client.send(*(bytes_of(QUERY, ["//stuff", f".x{index} = {index}"], index) for index in range(200)))
    await within(client.reader.readexactly(1))
    ended = asyncio.create_task(server.end())
    replies = re.findall(rb"(?s)...(.)\x00\x12\xed", b"\x00" + await client.closed())
    assert len(replies) == 200
    assert await ended == 0


async def test_a_kill_loses_nothing_that_was_answered(start: Start) -> None:
    server = await start()
    await server.ready()
    client = await server.client()
    for count in range(1, 20):
        assert await client.request(QUERY, ["//stuff", f".x = {count}"]) == (DATA, count)
    await server.end(signal.SIGKILL)
    again = await start()
    await again.ready()
    client = await again.client()
    assert await client.request(QUERY, ["//stuff", ".x"]) == (DATA, 19)


async def test_a_query_has_a_time_limit(start: Start) -> None:
    server = await start("--query-time", "0.3")
    await server.ready()
    client, other = await server.client(), await server.client()
    code = "for (a in l) { for (b in l) { for (c in l) { nil; }; }; };"
    client.send(bytes_of(QUERY, ["//stuff", code, {"l": list(range(2000))}]))
    _, kind, error = await client.read()
    assert (kind, error["error_code"]) == (ERROR, -5)
    assert "0.3 seconds" in error["error_msg"]
    assert await other.request(QUERY, ["//stuff", "1 + 1"]) == (DATA, 2)
    assert await client.request(QUERY, ["//stuff", "1 + 1"]) == (DATA, 2)
    assert await server.end() == 0


# --- starts that fail ---------------------------------------------------------------------------------------------


async def test_a_port_in_use(start: Start) -> None:
    first = await start()
    await first.ready()
    second = await start(DATA_DIR=str(ROOT / "nowhere"), HTTP_PORT=str(first.http))
    assert await within(second.process.wait()) == 1
    assert f"can't listen on 127.0.0.1 port {first.http}" in await second.said()
    assert not (ROOT / "nowhere").exists()


async def test_a_second_server_on_the_same_store(start: Start) -> None:
    first = await start()
    await first.ready()
    second = await start()
    assert await within(second.process.wait()) == 1
    said = await second.said()
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1
    client = await first.client()
    assert await client.request(QUERY, ["//stuff", "1 + 1"]) == (DATA, 2)


@pytest.mark.parametrize(
    ("arguments", "exit_status", "said"),
    [
        (["--tcp-port", "x"], 2, "--tcp-port must be an integer"),
        (["--config", "/nowhere.toml"], 2, "can't be read"),
        (["--tls-cert", "/nowhere.pem", "--tls-key", "/nowhere.pem"], 1, "--tls-cert can't be read"),
        (["--host", "256.0.0.1"], 1, "can't listen on 256.0.0.1"),
        (["--data-dir", "/proc/nowhere"], 1, "/proc/nowhere"),
        (["--nonsense"], 2, "unrecognized arguments"),
    ],
)
async def test_what_is_wrong_is_said_in_a_line(start: Start, arguments: list[str], exit_status: int, said: str) -> None:
    server = await start(*arguments)
    assert await within(server.process.wait()) == exit_status
    text = await server.said()
    assert said in text
    assert "Traceback" not in text


# --- a store that fails -------------------------------------------------------------------------------------------


async def test_what_the_store_did_not_keep_is_told_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tcp, ws, http = free_ports(3)
    config = Config(data_dir=tmp_path / "data", tcp_port=tcp, ws_port=ws, http_port=http)
    ready = asyncio.Event()
    app = App(config, asyncio.get_running_loop())
    running = asyncio.create_task(app.run(lambda line: ready.set()))
    await within(ready.wait())
    server = Server(None, tcp, ws, http)  # type: ignore[arg-type]
    client, watcher = await server.client(), await server.client()
    assert await client.request(QUERY, ["//stuff", ".x = 1"]) == (DATA, 1)
    assert await watcher.request(WATCH, ["//stuff", 1]) == (OK, None)
    assert (await watcher.read())[0] == EVENT_ID

    over_http = Client(*await asyncio.open_connection("127.0.0.1", http))

    body = b'{"type": "query", "code": ".x = 3"}'
    both = threading.Event()

    def full(*_: object) -> None:
        both.wait()
        raise StoreError("the store", "the disk is full", "make room")

    monkeypatch.setattr(SqliteStore, "write_batch", full)
    client.send(bytes_of(QUERY, ["//stuff", ".x = 2"]))
    over_http.send(
        b"POST //stuff HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWRtaW46cGFzcw==\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    executed = app._engine.last_change
    while app._engine.last_change < executed + 2:
        await asyncio.sleep(0.001)
    both.set()
    assert await client.closed() == b""
    assert await watcher.closed() == b""
    assert await over_http.closed() == b""
    with pytest.raises(StoreError, match=r"the disk is full"):
        await within(running)
    assert "the disk is full" in caplog.text


async def test_unreachable_things_go_in_quiet_moments(start: Start) -> None:
    server = await start()
    await server.ready()
    client = await server.client()
    text = ".t = {n: 1}; .t.me = .t; .t.id()"
    kind, thing_id = await client.request(QUERY, ["//stuff", text])
    assert kind == DATA
    assert await client.request(WATCH, ["//stuff", thing_id]) == (OK, None)
    assert (await client.read())[1] == WATCH_INIT
    assert await client.request(QUERY, ["//stuff", ".del('t'); 1"]) == (DATA, 1)
    assert await client.request(QUERY, ["//stuff", f"thing({thing_id}).n"]) == (DATA, 1)
    assert await client.read() == (EVENT_ID, WATCH_DELETE, {"#": thing_id})
    assert (await client.request(QUERY, ["//stuff", f"thing({thing_id})"]))[0] == ERROR
    assert await server.end() == 0
    again = await start()
    await again.ready()
    client = await again.client()
    assert (await client.request(QUERY, ["//stuff", f"thing({thing_id})"]))[0] == ERROR


async def test_a_unix_socket(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = await start("--unix-socket", str(path))
    assert f"Unix socket {path}" in await server.ready()
    assert path.is_socket() and path.stat().st_mode & 0o777 == 0o660
    client = Client(*await asyncio.open_unix_connection(str(path)))
    assert (await client.request(AUTH, ["admin", "wrong"]))[0] == ERROR
    assert await client.request(AUTH, ["admin", "pass"]) == (OK, None)
    assert await client.request(QUERY, ["//stuff", "1 + 1"]) == (DATA, 2)
    code = "node_info().load().connected_clients"
    assert await client.request(QUERY, ["@n", code]) == (DATA, 1)
    assert await server.end() == 0
    assert not path.exists()
    assert "a Unix socket: login refused" in await server.said()


@pytest.mark.parametrize("kind", ["file", "link", "socket"])
async def test_a_unix_socket_that_is_there_already(start: Start, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "socket"
    if kind == "file":
        path.write_text("precious")
    elif kind == "link":
        path.symlink_to(tmp_path / "nowhere")
    else:
        left = await start("--unix-socket", str(path))
        await left.ready()
        assert await left.end(signal.SIGKILL) == -signal.SIGKILL
    server = await start("--unix-socket", str(path))
    assert await within(server.process.wait()) == 1
    assert f"{path} is there already" in await server.said()
    assert path.is_symlink() or path.exists()


async def test_a_unix_socket_alone(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = await start("--unix-socket", str(path), "--tcp-port", "0", "--ws-port", "0", "--http-port", "0")
    await server.ready()
    client = Client(*await asyncio.open_unix_connection(str(path)))
    assert await client.request(AUTH, ["admin", "pass"]) == (OK, None)
    assert await server.end() == 0


async def test_settings_of_the_engine(start: Start) -> None:
    server = await start("--slow-query-warning", "0.000001", "--max-result", "10000")
    await server.ready()
    client = await server.client()
    assert (await client.request(QUERY, ["//stuff", "range(1000).map(|i| {i:})"]))[1]["error_code"] == -6
    assert await server.end() == 0
    assert "WARNING slow: " in await server.said()
