"""WebSocket: JSON-RPC in text, native packages in binary, and what bad frames get."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import BINARY, CLOSE, CONT, TEXT, Close, Frame, Opcode
from websockets.frames import PING as WS_PING
from websockets.frames import PONG as WS_PONG

from server import native
from server.native import AUTH, DATA, ERROR, EVENT_ID, HEADER, OK, PING, PONG, QUERY, UPDATE, WARNING, WATCH
from tests.server.fakes import Client, House, bytes_of, turns, within

MakeHouse = Callable[..., Awaitable[House]]


@asynccontextmanager
async def opened(house: House, **options: Any) -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{house.config.ws_port}/any/path", max_size=None, **options) as socket:
        yield socket


class Rpc:
    """A JSON-RPC client."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.count = 0

    async def read(self) -> Any:
        message = await within(self.socket.recv())
        assert isinstance(message, str)
        return json.loads(message)

    async def raw(self, text: str) -> Any:
        await self.socket.send(text)
        return await self.read()

    async def call(self, method: str, params: Any = None) -> Any:
        """The result, or the error, of a call."""
        self.count += 1
        request = {"jsonrpc": "2.0", "id": self.count, "method": method}
        answer = await self.raw(json.dumps(request if params is None else request | {"params": params}))
        assert answer["jsonrpc"] == "2.0"
        assert answer["id"] == self.count
        return answer["result"] if "result" in answer else answer["error"]


@asynccontextmanager
async def rpc(house: House, login: bool = True, **options: Any) -> AsyncIterator[Rpc]:
    async with opened(house, **options) as socket:
        client = Rpc(socket)
        if login:
            assert await client.call("auth", {"user": "admin", "password": "pass"}) is None
        yield client


async def package(socket: ClientConnection) -> tuple[int, int, Any]:
    """The next message, which must be a package."""
    message = await within(socket.recv())
    assert isinstance(message, bytes)
    length, package_id, kind, check = HEADER.unpack_from(message)
    assert kind ^ check == 0xFF
    assert length == len(message) - 8
    return package_id, kind, msgpack.unpackb(message[8:]) if length else None


# --- JSON-RPC ---------------------------------------------------------------------------------------------------------


async def test_calls(house: House) -> None:
    async with rpc(house, login=False) as client:
        assert await client.call("ping") == "pong"
        assert await client.call("auth", {"token": "token"}) is None
        assert await client.call("auth", ["admin", "pass"]) is None
        assert await client.call("auth", ["token"]) is None
        assert await client.call("query", {"scope": "//stuff", "code": "1+1"}) == 2
        assert await client.call("query", ["//stuff", "echo", {"a": 2**60}]) == {"a": str(2**60)}
        assert await client.call("query", ["//stuff", "bytes 3"]) == "eHh4"
        assert await client.call("run", {"scope": "//stuff", "procedure": "f", "args": [1]}) == ["f", [1]]
        assert await client.call("join", {"scope": "//stuff", "rooms": [3, "x"]}) == [3, "x"]
        assert await client.call("leave", {"scope": "//stuff", "rooms": [3]}) == [None]
        assert await client.call("unwatch", {"scope": "//stuff", "ids": [3]}) is None


async def test_events(house: House) -> None:
    async with rpc(house) as client:
        assert await client.call("watch", {"scope": "//stuff", "ids": [5]}) is None
        assert await client.read() == {
            "jsonrpc": "2.0", "method": "watch.init", "params": {"event": 0, "thing": {"#": 5}, "collection": "stuff"},
        }  # fmt: skip
        update = await client.raw('{"jsonrpc": "2.0", "id": 9, "method": "query", "params": ["@t", "say x"]}')
        assert update["method"] == "watch.update"
        assert update["params"] == {"#": 1, "event": 1, "jobs": [{"event": ["x"]}]}
        assert (await client.read())["id"] == 9
        assert (await client.call("query", ["@t", "gone x"])) == "x"
        assert (await client.read())["method"] == "watch.delete"
        assert await client.call("emit", ["//stuff", 3, "e", [1], True]) is None
        assert (await client.read())["params"] == {"scope": "@collection:stuff", "id": 3, "event": "e", "args": [1]}
        assert await client.call("watch", ["@n"]) is None
        house.core.announce("OFFLINE")
        assert await client.read() == {
            "jsonrpc": "2.0", "method": "node.status", "params": {"id": 0, "status": "OFFLINE"},
        }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "params", "code", "name"),
    [
        ("query", ["//stuff", "fail"], -60, "ValueError"),
        ("query", ["nowhere", "1+1"], -54, "LookupError"),
        ("query", ["//stuff", 5], -61, "TypeError"),
        ("query", ["//stuff", "bug"], -1, "InternalError"),
        ("query", ["//stuff", "nest 100000"], -6, "ResultTooLargeError"),
        ("watch", ["//forbidden"], -55, "ForbiddenError"),
        ("auth", ["admin", "wrong"], -56, "AuthError"),
        ("auth", ["admin", 5], -53, "BadDataError"),
        ("auth", {"token": None}, -53, "BadDataError"),
        ("query", None, -32602, None),
        ("query", [5, "1+1"], -32602, None),
        ("query", ["//stuff", "1+1", []], -32602, None),
        ("query", {"scope": "//stuff", "code": "1+1", "deep": 1}, -32602, None),
        ("watch", ["//stuff", 5], -32602, None),
        ("emit", ["//stuff", 1, "e", 5], -32602, None),
        ("emit", ["//stuff", 1, "e", [], 5], -32602, None),
        ("auth", {"user": "admin"}, -32602, None),
        ("auth", None, -32602, None),
        ("ping", [1], -32602, None),
        ("nothing", None, -32601, None),
    ],
)
async def test_errors(house: House, method: str, params: Any, code: int, name: str | None) -> None:
    async with rpc(house) as client:
        error = await client.call(method, params)
        assert error["code"] == code
        assert error["message"]
        assert error.get("data") == (None if name is None else {"class": name})
        assert await client.call("ping") == "pong"


@pytest.mark.parametrize("method", ["query", "run", "watch", "unwatch", "join", "leave", "emit"])
async def test_before_login(house: House, method: str) -> None:
    async with rpc(house, login=False) as client:
        assert (await client.call(method, ["//stuff"]))["data"] == {"class": "AuthError"}


async def test_a_batch_is_answered_in_one_array_and_may_log_in(house: House) -> None:
    house.engine.cached = False  # so that the rest of the batch has to wait for a password check
    async with rpc(house, login=False) as client:
        batch = [
            {"jsonrpc": "2.0", "id": 1, "method": "ping"},
            {"jsonrpc": "2.0", "id": 2, "method": "auth", "params": ["admin", "pass"]},
            {"jsonrpc": "2.0", "method": "query", "params": ["//stuff", "change"]},
            7,
            {"jsonrpc": "2.0", "id": 3, "method": "query", "params": ["//stuff", "1+1"]},
        ]
        await client.socket.send(json.dumps(batch))
        await client.socket.send(json.dumps({"jsonrpc": "2.0", "id": 4, "method": "ping"}))
        answers = await client.read()
        assert [answer["id"] for answer in answers] == [1, 2, None, 3]
        assert [answer.get("result", "-") for answer in answers] == ["pong", None, "-", 2]
        assert house.engine.last_change == 1
        assert (await client.read())["id"] == 4


async def test_a_notification_is_not_answered(house: House) -> None:
    async with rpc(house) as client:
        await client.socket.send('{"jsonrpc": "2.0", "method": "query", "params": ["//stuff", "fail"]}')
        await client.socket.send('{"jsonrpc": "2.0", "method": "nothing"}')
        await client.socket.send('[{"jsonrpc": "2.0", "method": "ping"}]')
        assert await client.call("ping") == "pong"


async def test_malformed_json_gets_an_error_and_loses_nothing(house: House) -> None:
    async with rpc(house) as client:
        assert (await client.raw("{"))["error"]["code"] == -32700
        assert (await client.raw(""))["error"]["code"] == -32700
        assert await client.call("ping") == "pong"


# --- native packages ----------------------------------------------------------------------------------------------


async def test_packages(house: House) -> None:
    async with opened(house) as socket:
        await socket.send(bytes_of(PING, package_id=1))
        assert await package(socket) == (1, PONG, None)
        await socket.send(bytes_of(QUERY, ["//stuff", "1+1"], 2))
        package_id, kind, error = await package(socket)
        assert (package_id, kind, error["error_code"]) == (2, ERROR, -56)
        await socket.send(bytes_of(AUTH, ["admin", "pass"], 3))
        assert await package(socket) == (3, OK, None)
        await socket.send([bytes_of(QUERY, ["//stuff", "1+1"], 4)[:9], bytes_of(QUERY, ["//stuff", "1+1"], 4)[9:]])
        assert await package(socket) == (4, DATA, 2)
        await socket.send(bytes_of(QUERY, ["//stuff", f"bytes {1 << 20}"], 5))
        assert (await package(socket))[2] == b"x" * (1 << 20)
        await socket.send(bytes_of(PING, package_id=6) + bytes_of(PING, package_id=7))
        await socket.send(bytes_of(99, package_id=8))
        await socket.send(bytes_of(WATCH, ["//stuff"], 9))
        assert [(await package(socket))[:2] for _ in range(2)] == [(6, PONG), (9, OK)]
        await socket.send(bytes_of(QUERY, ["@t", "say x"], 10))
        assert [(await package(socket))[:2] for _ in range(2)] == [(EVENT_ID, UPDATE), (10, DATA)]


async def test_all_forms_get_the_same_event(house: House) -> None:
    tcp = await house.tcp()
    await tcp.request(WATCH, ["//stuff"])
    async with rpc(house) as client, opened(house) as socket:
        await client.call("watch", ["//stuff"])
        await socket.send(bytes_of(AUTH, "token"))
        await socket.send(bytes_of(WATCH, ["//stuff"]))
        assert [(await package(socket))[1] for _ in range(2)] == [OK, OK]
        await client.socket.send('{"jsonrpc": "2.0", "method": "query", "params": ["@t", "say x"]}')
        data = {"#": 1, "event": 1, "jobs": [{"event": ["x"]}]}
        assert await tcp.read() == (EVENT_ID, UPDATE, data)
        assert await package(socket) == (EVENT_ID, UPDATE, data)
        assert (await client.read())["params"] == data


# --- the first message decides ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text_first", [False, True])
async def test_the_other_kind_of_message_is_refused(house: House, text_first: bool) -> None:
    messages: list[str | bytes] = ['{"jsonrpc": "2.0", "id": 1, "method": "ping"}', bytes_of(PING)]
    if not text_first:
        messages.reverse()
    async with opened(house) as socket:
        await socket.send(messages[0])
        await within(socket.recv())
        await socket.send(messages[1])
        if not text_first:  # the connection's last event says why, too
            assert (await package(socket))[1] == WARNING
        with pytest.raises(ConnectionClosed) as closed:
            await within(socket.recv())
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1003


# --- bad input (the table of section 6) ---------------------------------------------------------------------------


class Raw(Client):
    """A client that sends whatever frames it likes."""

    def send_frame(self, opcode: Opcode, data: bytes, fin: bool = True, mask: bool = True) -> None:
        self.writer.write(Frame(opcode, data, fin).serialize(mask=mask))

    async def read_frame(self) -> tuple[Opcode, bytes]:
        """The next frame, which must be whole and unmasked."""
        head = await within(self.reader.readexactly(2))
        assert head[0] & 0x80
        length = head[1]
        assert length < 0x80
        if length == 126:
            length = int.from_bytes(await within(self.reader.readexactly(2)), "big")
        return Opcode(head[0] & 15), await within(self.reader.readexactly(length))


async def shake(house: House, *headers: str) -> tuple[Raw, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.config.ws_port)
    client = Raw(reader, writer)
    house.clients.append(client)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = ["GET / HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}",
             "Sec-WebSocket-Version: 13", *headers, "", ""]  # fmt: skip
    writer.write("\r\n".join(lines).encode())
    try:
        answer = await within(reader.readuntil(b"\r\n\r\n"))
    except asyncio.IncompleteReadError as error:
        answer = error.partial
    return client, answer


async def test_subprotocols(house: House) -> None:
    _, answer = await shake(house)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Protocol" not in answer
    _, answer = await shake(house, "Sec-WebSocket-Protocol: chat, thingsdb-protocol")
    assert b"Sec-WebSocket-Protocol: thingsdb-protocol\r\n" in answer
    _, answer = await shake(house, "Sec-WebSocket-Protocol: chat")
    assert answer == b""


async def test_any_origin_and_no_extensions(house: House) -> None:
    _, answer = await shake(house, "Origin: http://elsewhere", "Sec-WebSocket-Extensions: permessage-deflate")
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"Extensions" not in answer


PING_PACKAGE = bytes_of(PING)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"1234567",
        HEADER.pack(0, 1, PING, PING),
        HEADER.pack((1 << 30) + 1, 1, PING, 223),
        HEADER.pack(5, 1, PING, 223),
    ],
    ids=["empty", "short", "check", "huge", "less than promised"],
)
async def test_a_message_that_is_no_package_drops_the_connection(house: House, message: bytes) -> None:
    client, _ = await shake(house)
    client.send_frame(BINARY, PING_PACKAGE)
    client.send_frame(BINARY, message)
    client.send_frame(BINARY, PING_PACKAGE)
    assert await client.read_frame() == (BINARY, native.package(1, PONG))
    assert await client.closed() == b""


@pytest.mark.parametrize(
    "frame",
    [
        b"\x83\x80abcd",
        b"\x8b\x80abcd",
        b"\x80\x80abcd",
        b"\xc2\x80abcd",
        b"\x09\x80abcd",
        b"\x89\xfe\x00\x7e" + b"x" * 130,
        b"\x02\x80abcd\x82\x80abcd",
    ],
    ids=["data opcode", "control opcode", "continuation", "reserved bit", "fragmented ping", "long ping", "new in old"],
)
async def test_a_frame_that_breaks_the_protocol_drops_the_connection(house: House, frame: bytes) -> None:
    client, _ = await shake(house)
    client.send_frame(BINARY, PING_PACKAGE)
    client.writer.write(frame)
    assert await client.read_frame() == (BINARY, native.package(1, PONG))
    assert await client.closed() == b""


async def test_an_unmasked_frame_is_accepted(house: House) -> None:
    client, _ = await shake(house)
    client.send_frame(BINARY, PING_PACKAGE, mask=False)
    client.send_frame(BINARY, PING_PACKAGE, mask=True)
    assert [await client.read_frame() for _ in range(2)] == [(BINARY, native.package(1, PONG))] * 2


async def test_one_package_over_two_messages_is_not_joined(house: House) -> None:
    client, _ = await shake(house)
    client.send_frame(BINARY, PING_PACKAGE[:4])
    client.send_frame(BINARY, PING_PACKAGE[4:])
    assert await client.closed() == b""


async def test_pings_are_answered_also_between_fragments(house: House) -> None:
    client, _ = await shake(house)
    client.send_frame(BINARY, PING_PACKAGE[:3], fin=False)
    client.send_frame(WS_PING, b"payload")
    client.send_frame(CONT, PING_PACKAGE[3:5], fin=False)
    client.send_frame(CONT, PING_PACKAGE[5:])
    frames = [await client.read_frame() for _ in range(2)]
    assert sorted(frames) == sorted([(WS_PONG, b"payload"), (BINARY, native.package(1, PONG))])


async def test_a_close_is_answered_with_its_code(house: House) -> None:
    client, _ = await shake(house)
    client.send_frame(TEXT, b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}')
    client.send_frame(CLOSE, Close(4321, "enough").serialize())
    assert await client.read_frame() == (TEXT, b'{"jsonrpc":"2.0","id":1,"result":"pong"}')
    opcode, data = await client.read_frame()
    assert opcode is CLOSE
    assert Close.parse(data).code == 4321
    assert await client.closed() == b""


async def test_text_that_is_no_utf8(house: House) -> None:
    client, _ = await shake(house)
    client.send_frame(TEXT, b'"\xff"')
    opcode, data = await client.read_frame()
    assert opcode is CLOSE
    assert Close.parse(data).code == 1007


async def test_bytes_one_by_one(house: House) -> None:
    client, _ = await shake(house)
    for byte in Frame(BINARY, PING_PACKAGE).serialize(mask=True):
        client.writer.write(bytes([byte]))
        await turns(2)
    assert await client.read_frame() == (BINARY, native.package(1, PONG))


async def test_a_message_over_the_limit(house_with: MakeHouse) -> None:
    house = await house_with(max_package_before_login=1024, max_package=4096)
    async with opened(house) as socket:
        await socket.send("x" * 1025)
        with pytest.raises(ConnectionClosed) as closed:
            await within(socket.recv())
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
    async with rpc(house) as client:
        code = "echo " + "x" * 3000
        assert await client.call("query", ["//stuff", code]) is None
        await client.socket.send("x" * 5000)
        with pytest.raises(ConnectionClosed):
            await client.read()


async def test_a_request_that_is_no_http(house: House) -> None:
    for junk in (b"\x00\x01\x02\r\n\r\n", b"HELO x\r\n", bytes_of(PING) * 10 + b"\n"):
        client = await house.tcp(login=False)
        reader, writer = await asyncio.open_connection("127.0.0.1", house.config.ws_port)
        writer.write(junk)
        assert await within(reader.read(-1)) == b""
        writer.close()
        assert await client.request(PING) == (PONG, None)


async def test_a_handshake_that_is_none(house: House) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with opened(house, additional_headers={"Sec-WebSocket-Version": "12"}):
            pass
    assert refused.value.response.status_code == 400


# --- bounds -----------------------------------------------------------------------------------------------------------


async def test_no_login_in_time(house_with: MakeHouse) -> None:
    house = await house_with(login_time=0.1)
    async with opened(house) as socket, rpc(house) as other:
        with pytest.raises(ConnectionClosed) as closed:
            await within(socket.recv())
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "no login within 0.1 seconds")
        assert await other.call("ping") == "pong"


async def test_no_handshake_in_time(house_with: MakeHouse) -> None:
    house = await house_with(login_time=0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", house.config.ws_port)
    writer.write(b"GET / HTTP/1.1\r\n")
    assert await within(reader.read(-1)) == b""
    writer.close()


async def test_too_many_requests_before_login(house_with: MakeHouse) -> None:
    house = await house_with(max_requests_before_login=2)
    async with rpc(house, login=False) as client:
        assert await client.call("ping") == "pong"
        assert (await client.call("query", ["@t", "1+1"]))["code"] == -56
        await client.socket.send("x")
        with pytest.raises(ConnectionClosed) as closed:
            await client.read()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


async def test_a_silent_client_is_asked_and_one_that_is_gone_is_dropped(house: House) -> None:
    client, _ = await shake(house)
    client.send_frame(BINARY, bytes_of(AUTH, "token"))
    assert (await client.read_frame())[0] is BINARY
    (session,) = house.core.sessions
    session.look()  # something was heard
    session.look()
    assert await client.read_frame() == (WS_PING, b"")
    client.send_frame(WS_PONG, b"")
    while not session.heard:
        await asyncio.sleep(0)
    session.look()
    session.look()
    assert await client.read_frame() == (WS_PING, b"")
    session.look()
    assert await client.closed() == b""
    assert not house.core.sessions


async def test_the_rounds_look_after_every_socket(house_with: MakeHouse) -> None:
    house = await house_with(ping_interval=1.0)
    client, _ = await shake(house)
    assert await client.read_frame() == (WS_PING, b"")


@pytest.mark.parametrize("binary", [False, True])
async def test_a_slow_reader_is_disconnected_with_a_reason(house_with: MakeHouse, binary: bool) -> None:
    house = await house_with(max_outgoing=2 << 20)
    talker = await house.tcp()
    slow, _ = await shake(house)
    if binary:
        slow.send_frame(BINARY, bytes_of(AUTH, "token"))
        slow.send_frame(BINARY, bytes_of(WATCH, ["//stuff"]))
    else:
        slow.send_frame(TEXT, b'{"jsonrpc": "2.0", "id": 1, "method": "auth", "params": ["token"]}')
        slow.send_frame(TEXT, b'{"jsonrpc": "2.0", "id": 2, "method": "watch", "params": ["//stuff"]}')
    await slow.read_frame()
    await slow.read_frame()
    slow.stop_reading()
    text = "x" * 60000
    sent = 0
    while house.hub.subscribers:
        assert sent < 1000
        await talker.request(QUERY, ["@t", f"say {text}"])
        sent += 1
    slow.read_on()
    frames: list[tuple[Opcode, bytes]] = []
    while not frames or frames[-1][0] is not CLOSE:
        frames.append(await slow.read_frame())
    close = Close.parse(frames[-1][1])
    assert close.code == 1013
    assert close.reason.startswith("too slow")
    if binary:
        assert frames[-2][1][6] == WARNING
    assert await slow.closed() == b""
