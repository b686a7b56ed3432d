"""The query and run API: every reply of the specification's table, logins, bodies, order and durability."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
from base64 import b64encode
from typing import Any

import httpx
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import CLASSES, BadDataError, EngineError, InternalError
from server.http.api import error_reply, status_of
from server.http.bodies import JSON, MSGPACK, Malformed, decode, encode
from tests.http.conftest import LOGIN, Serve, Server

UNAUTHORIZED = (401, "UNAUTHORIZED\r\n")


async def post(
    server: Server, scope: str, body: Any, content_type: str = "application/json", **options: Any
) -> httpx.Response:
    """The reply to a body, given as bytes or as what JSON makes of it."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    client = server.client(**options)
    return await client.post(f"{server.url}{scope}", content=content, headers={"Content-Type": content_type})


async def query(server: Server, code: str, scope: str = "//stuff", **options: Any) -> httpx.Response:
    return await post(server, scope, {"type": "query", "code": code}, **options)


def shown(reply: httpx.Response) -> tuple[int, str]:
    assert reply.headers["content-length"] == str(len(reply.content))
    if reply.status_code != 200:
        assert reply.headers["content-type"] == "text/plain"
        assert reply.text.endswith("\r\n") and "\n" not in reply.text[:-2]
    if reply.status_code == 401:
        assert reply.headers["www-authenticate"].startswith("Basic ")
    return reply.status_code, reply.text


# --- success ---------------------------------------------------------------------------------------------------------


async def test_a_query_in_json(server: Server) -> None:
    reply = await query(server, ".a = {x: 1.5, y: 2.0}; .a;")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    thing = server.eval(".a.id()")
    assert reply.text == f'{{"#":{thing},"x":1.5,"y":2.0}}'
    big = await query(server, "[9223372036854775807, 'é', nil, true]")
    assert big.text == '[9223372036854775807,"é",null,true]'


@pytest.mark.parametrize("media", ["application/msgpack", "application/x-msgpack", "APPLICATION/MsgPack"])
async def test_a_query_in_msgpack(server: Server, media: str) -> None:
    body = msgpack.packb({"type": "query", "code": "[x, bytes('a'), nan]", "vars": {"x": b"\x00"}, "more": 1})
    reply = await post(server, "//stuff", body, media)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/msgpack")
    value = msgpack.unpackb(reply.content)
    assert value[:2] == [b"\x00", b"a"] and value[2] != value[2]


async def test_variables(server: Server) -> None:
    body = {"type": "query", "code": "[type(i), type(f), type(e), t.a]",
            "vars": {"i": 1, "f": 1.0, "e": 1e2, "t": {"a": [None]}}}  # fmt: skip
    reply = await post(server, "//stuff", body, "text/json")
    assert reply.json() == ["int", "float", "float", [None]]


async def test_a_run_by_position_and_by_name(server: Server) -> None:
    server.eval("new_procedure('minus', |a, b| a - b)")
    for arguments, result in (([5, 3], 2), ({"b": 1, "a": 9}, 8)):
        reply = await post(server, "//stuff", {"type": "run", "name": "minus", "args": arguments})
        assert (reply.status_code, reply.json()) == (200, result)
    server.eval("new_procedure('seven', || 7)")
    assert (await post(server, "//stuff", {"type": "run", "name": "seven"})).json() == 7


@pytest.mark.parametrize("scope", ["//stuff", "/c/stuff", "/collection/stuff", "/t", "/thingsdb", "/n", "/node/0"])
async def test_scopes(server: Server, scope: str) -> None:
    assert (await query(server, "1 + 1", scope)).json() == 2


async def test_a_connection_stays_and_pipelined_requests_are_answered_in_order(server: Server) -> None:
    token = server.eval("new_token('admin')", "@t")
    bodies = [json.dumps({"type": "query", "code": f".x = {number}"}).encode() for number in range(20)]
    requests = [
        b"POST //stuff HTTP/1.1\r\nHost: x\r\nAuthorization: Token %s\r\ncontent-type: application/json\r\n"
        b"Content-Length: %d\r\n%s\r\n%s" % (token.encode(), len(body), b"Connection: close\r\n" * (number == 19), body)
        for number, body in enumerate(bodies)
    ]
    answer = await server.raw(b"".join(requests))
    replies = answer.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert [int(reply.partition(b"\r\n\r\n")[2]) for reply in replies] == list(range(20))


# --- the table of other replies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
async def test_other_methods(server: Server, method: str) -> None:
    reply = await server.client(auth=None).request(method, f"{server.url}//stuff")
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
    assert reply.text == ("" if method == "HEAD" else "METHOD NOT ALLOWED\r\n")


@pytest.mark.parametrize(
    "path", ["/stuff", "/x", "/", "//", "//1x", "/node/64", "/t/x", "/@thingsdb", "//stuff?a=1", "//st%75ff", "/T"]
)
async def test_paths_that_are_no_scope(server: Server, path: str) -> None:
    reply = await query(server, "1", path, auth=None)
    assert reply.status_code == (405 if path == "/" else 404)
    assert reply.text.strip() == ("METHOD NOT ALLOWED" if path == "/" else "NOT FOUND")


async def test_a_scope_that_is_not_there(server: Server) -> None:
    status, text = shown(await query(server, "1", "//nowhere"))
    assert status == 404 and text.endswith(" (-54)\r\n")


@pytest.mark.parametrize(
    "header",
    [
        None, "", "Basic", "Basic !!!", "Basic " + b64encode(b"admin").decode(),
        "Basic " + b64encode(b"admin:wrong").decode(), "Basic " + b64encode(b"nobody:pass").decode(),
        "Basic " + b64encode(b"\xff:\xff").decode(), "Basic  " + b64encode(b"admin:pass").decode(),
        "Bearer", "Bearer x", "Token aaaaaaaaaaaaaaaaaaaaaa", "Digest x", "admin:pass",
    ],
)  # fmt: skip
async def test_logins_that_are_refused(server: Server, header: str | None) -> None:
    reply = await server.client(auth=None).post(
        f"{server.url}//stuff",
        json={"type": "query", "code": "1"},
        headers={} if header is None else {"Authorization": header},
    )
    assert shown(reply) == UNAUTHORIZED


async def test_logins(server: Server) -> None:
    server.eval("new_user('zoë'.replace('ë', 'e')); set_password('zoe', 'a:b c')", "@t")
    server.eval("grant('//stuff', 'zoe', QUERY)", "@t")
    token = server.eval("new_token('admin')", "@t")
    assert (await query(server, "1", auth=("zoe", "a:b c"))).json() == 1
    for scheme in ("Bearer", "Token", "bearer", "TOKEN"):
        client = server.client(auth=None, headers={"AUTHORIZATION": f"{scheme} {token}"})
        reply = await client.post(f"{server.url}//stuff", json={"type": "query", "code": "1"})
        assert reply.json() == 1
    server.eval("del_token(t)", "@t", t=token)
    reply = await client.post(f"{server.url}//stuff", json={"type": "query", "code": "1"})
    assert shown(reply) == UNAUTHORIZED


async def test_the_login_is_checked_for_each_request(server: Server) -> None:
    server.eval("new_user('ann'); set_password('ann', 'x'); grant('//stuff', 'ann', QUERY)", "@t")
    client = server.client(auth=("ann", "x"))

    async def ask() -> httpx.Response:
        return await client.post(f"{server.url}//stuff", json={"type": "query", "code": "1"})

    assert (await ask()).json() == 1
    server.eval("set_password('ann', 'y')", "@t")
    assert shown(await ask()) == UNAUTHORIZED
    server.eval("set_password('ann', 'x')", "@t")
    assert (await ask()).json() == 1
    server.eval("del_user('ann')", "@t")
    assert shown(await ask()) == UNAUTHORIZED


async def test_failed_logins_are_counted_by_address(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "livethings.server"):
        for _ in range(3):
            assert shown(await query(server, "1", auth=("admin", "guess"))) == UNAUTHORIZED
    assert server.core.authenticator.refused == 3
    assert server.core.authenticator._failures["127.0.0.1"] == 3
    assert "127.0.0.1: login refused for user 'admin'" in caplog.text
    assert "guess" not in caplog.text


async def test_too_many_logins_under_way(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.authenticator.MAX_WAITING", 0)
    status, text = shown(await query(server, "1", auth=("admin", "not in the cache")))
    assert status == 503 and text.endswith(" (-51)\r\n")


@pytest.mark.parametrize("status", ["SHUTTING_DOWN", "OFFLINE"])
async def test_while_it_stops(server: Server, status: str) -> None:
    server.core.status = status
    assert shown(await query(server, "1")) == (503, "SERVICE UNAVAILABLE\r\n")
    assert shown(await query(server, "1", auth=None)) == UNAUTHORIZED  # which is checked before


@pytest.mark.parametrize(
    "media",
    ["", "text/plain", "application/json; charset=utf-8", "application/json;", "application/x-www-form-urlencoded"],
)
async def test_content_types(server: Server, media: str) -> None:
    reply = await post(server, "//stuff", {"type": "query", "code": "1"}, media)
    assert shown(reply) == (415, "UNSUPPORTED MEDIA TYPE\r\n")


@pytest.mark.parametrize(
    "body",
    [
        b"{]", b"x", b'{"type":"query","code":"1"} x', b'{"type":"query","code":"1","vars":{"x":9223372036854775808}}',
        b'{"type":"query","code":"1","vars":{"x":-9223372036854775809}}', b"\xff", b'{"type":"query","code":"\xff"}',
        b'{"type":"query","code":"1","vars":{"x":NaN}}', b'{"type":"query","code":"1","vars":{"x":1e999}}', b"{'a':1}",
        b'{"type":"query","code":"\\ud800"}', b"[" * 100_000, b'{"type":"query","code":"1",}',
        b'{"x":' + b"9" * 10_000 + b"}",
    ],
)  # fmt: skip
async def test_malformed_json(server: Server, body: bytes) -> None:
    assert shown(await post(server, "//stuff", body)) == (400, "BAD REQUEST\r\n")


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"[]", b"1", b"null", b'"query"', b"{}", b'{"type":"query"}', b'{"code":"1"}',
        b'{"type":"Query","code":"1"}', b'{"type":"query","code":1}', b'{"type":"query","code":"1","vars":null}',
        b'{"type":"query","code":"1","vars":[]}', b'{"type":"run"}', b'{"type":"run","name":1}',
        b'{"type":"run","name":"f","args":null}', b'{"type":"run","name":"f","args":1}', b'{"type":["query"]}',
        b'{"type":"query","code":"1"', b'{"type":"query","code":"1', b'{"type":"query","vars":{"x":tr', b'{"a":', b"[",
    ],
)  # fmt: skip
async def test_bodies_that_ask_for_nothing(server: Server, body: bytes) -> None:
    status, text = shown(await post(server, "//stuff", body))
    assert status == 400 and text.endswith(" (-53)\r\n")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\xc1", b"\x90", b"\x01", b"\x81\xa4type", msgpack.packb({"type": "query"}),
        msgpack.packb({"type": "query", "code": b"1"}), msgpack.packb({"type": "query", "code": "1", "vars": None}),
        msgpack.packb({"type": "query", "code": "x", "vars": {"x": msgpack.ExtType(5, b"x")}}),
        msgpack.packb({"type": "query", "code": "x", "vars": {"x": msgpack.Timestamp(1)}}),
        msgpack.packb({"type": "query", "code": "1"})[:-1], msgpack.packb(["query"]), b"\xdf\xff\xff\xff\xff",
    ],
)  # fmt: skip
async def test_bad_msgpack(server: Server, body: bytes) -> None:
    status, text = shown(await post(server, "//stuff", body, "application/msgpack"))
    assert status == 400 and text.endswith(" (-53)\r\n")


@pytest.mark.parametrize(
    ("code", "status", "number"),
    [
        ("(", 400, -52), ("raise(bad_data_err('no'))", 400, -53), ("raise(auth_err('no'))", 401, -56),
        ("raise(forbidden_err('no'))", 403, -55), ("nothing", 404, -54), ("raise(node_err('no'))", 503, -51),
        ("assert(false)", 422, -50), ("raise(max_quota_err('no'))", 422, -57), ("1 / 0", 422, -58),
        ("9223372036854775807 + 1", 422, -59), ("raise(value_err('no'))", 422, -60), ("1 + nil", 422, -61),
        ("str(1, 2)", 422, -62),
        ("raise(operation_err('no'))", 422, -63), ("raise(cancelled_err('no'))", 422, -64),
        ("raise('custom')", 422, -100), ("raise(err(-70, 'custom'))", 422, -70),
        ("bytes('a')", 422, -61), ("[nan]", 422, -61), ("{a: -inf}", 422, -61),
        ("range(0, 2000).map(|i| {i: i})", 500, -6),
    ],
)  # fmt: skip
async def test_each_error_class(server: Server, code: str, status: int, number: int) -> None:
    server.engine.max_result_bytes = 10_000
    got, text = shown(await query(server, code))
    assert (got, text.rpartition(" ")[2]) == (status, f"({number})\r\n")
    assert len(text) > 8  # there is a message


async def test_what_a_message_holds_stays_in_its_line(server: Server) -> None:
    reply = await query(server, r"raise('a\r\nX-Injected: b\nc')")
    assert reply.status_code == 422 and "x-injected" not in reply.headers


def test_every_code_has_a_status() -> None:
    assert {code: status_of(code) for code in CLASSES} == {
        -64: 422, -63: 422, -62: 422, -61: 422, -60: 422, -59: 422, -58: 422, -57: 422, -56: 401, -55: 403, -54: 404,
        -53: 400, -52: 400, -51: 503, -50: 422,
    }  # fmt: skip
    assert {status_of(code) for code in range(-6, 0)} == {500}
    assert {status_of(code) for code in range(-127, -64)} == {422}
    assert error_reply(InternalError("\udcff")).status_code == 500


async def test_rights_and_whitelists(server: Server) -> None:
    server.eval("new_procedure('f', || 1); new_procedure('g', || .x = 1)")
    server.eval(
        "new_user('bob'); set_password('bob', 'b'); grant('//stuff', 'bob', RUN); "
        "whitelist_add('bob', 'procedures', 'g'); whitelist_add('bob', 'procedures', 'h')",
        "@t",
    )
    bob = ("bob", "b")
    assert shown(await query(server, "1", auth=bob))[1].endswith("(-55)\r\n")
    assert (await post(server, "//stuff", {"type": "run", "name": "f"}, auth=bob)).status_code == 403
    assert (await post(server, "//stuff", {"type": "run", "name": "g"}, auth=bob)).status_code == 403  # needs CHANGE
    assert (await post(server, "//stuff", {"type": "run", "name": "h"}, auth=bob)).status_code == 404
    assert (await post(server, "/n", {"type": "run", "name": "h"}, auth=bob)).status_code == 400
    server.eval("grant('//stuff', 'bob', CHANGE)", "@t")
    assert (await post(server, "//stuff", {"type": "run", "name": "g"}, auth=bob)).json() == 1


async def test_a_bug_is_no_traceback(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr(server.engine, "query", broken)
    with caplog.at_level(logging.ERROR):
        status, text = shown(await query(server, "1"))
    assert status == 500 and text.endswith(" (-1)\r\n") and "secret" not in text
    assert "RuntimeError: secret" in caplog.text


async def test_log_is_for_the_servers_log(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "livethings.server"):
        assert (await query(server, "log('hello'); 1")).json() == 1
    assert "hello" in caplog.text


# --- limits ----------------------------------------------------------------------------------------------------------

HEAD = b"POST //stuff HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %s\r\nContent-Type: application/json\r\n" % b64encode(
    ":".join(LOGIN).encode()
)


async def test_bodies_that_are_too_large_are_not_read(serve: Serve) -> None:
    server = await serve(max_http_body=1024)
    ok = {"type": "query", "code": "1 ".ljust(900)}
    assert (await post(server, "//stuff", ok)).json() == 1
    reply = await post(server, "//stuff", {"type": "query", "code": "1".ljust(2000)})
    assert shown(reply) == (413, "CONTENT TOO LARGE\r\n")
    assert (await server.raw(HEAD + b"Connection: close\r\nContent-Length: 99999999999999\r\n\r\n")).startswith(
        b"HTTP/1.1 413 "
    )


async def test_a_connection_goes_on_after_a_refused_body(serve: Serve) -> None:
    server = await serve(max_http_body=1024)
    large = b"x" * (1 << 20)
    small = b'{"type":"query","code":"7"}'
    answer = await server.raw(
        HEAD + b"Content-Length: %d\r\n\r\n" % len(large) + large,
        HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(small) + small,
    )
    assert answer.startswith(b"HTTP/1.1 413 ") and answer.endswith(b"\r\n\r\n7")


async def test_no_bodies_from_strangers(server: Server) -> None:
    head = b"POST //stuff HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000000000\r\n\r\n"
    assert (await server.raw(head)).startswith(b"HTTP/1.1 401 ")


async def test_chunked_bodies_are_refused(server: Server) -> None:
    answer = await server.raw(HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 411 ") and answer.endswith(b"LENGTH REQUIRED\r\n")


async def test_slow_bodies_end(serve: Serve) -> None:
    server = await serve(http_time=0.1)
    answer = await server.raw(HEAD + b"Content-Length: 10\r\n\r\n123")
    assert answer.startswith(b"HTTP/1.1 408 ") and answer.endswith(b"REQUEST TIMEOUT\r\n")


@pytest.mark.parametrize(
    "sent", [b"", b"POST //stuff HT", HEAD, b"GET /ready HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12"]
)
async def test_slow_heads_end(serve: Serve, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr("server.http.connection.GRACE", 0.0)
    server = await serve(http_time=0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server.http._uvicorn, "timeout_keep_alive", 3600)
        try:
            answer = await server.raw(sent)
        except ConnectionResetError:
            answer = b""
    assert answer == b"" or b"\r\n\r\nOK\n" in answer


async def test_more_connections_than_allowed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.http.app.MAX_OPEN", 2)
    server = await serve()
    idle = [await asyncio.open_connection("127.0.0.1", server.config.http_port) for _ in range(2)]
    while server.http.connections < 2:
        await asyncio.sleep(0)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError, httpx.ConnectError)):
        await query(server, "1")
    for _, writer in idle:
        writer.close()
    while server.http.connections:
        await asyncio.sleep(0.001)
    assert (await query(server, "1")).json() == 1


# --- order and durability --------------------------------------------------------------------------------------------


async def test_nothing_is_answered_before_it_is_durable(server: Server) -> None:
    client = server.client()
    assert (await client.post(f"{server.url}//stuff", json={"type": "query", "code": ".x = 1"})).json() == 1
    server.hold()
    change = asyncio.create_task(query(server, ".x = 2"))
    failed = asyncio.create_task(query(server, ".x = 3; 1 / 0"))
    while server.http.under_way < 2:
        await asyncio.sleep(0)
    # A read that may have seen what is not durable waits too; what needs no engine does not.
    read = asyncio.create_task(query(server, ".x"))
    while server.http.under_way < 3:
        await asyncio.sleep(0)
    assert (await client.get("/status")).text == "READY\n"
    while server.engine.last_change not in server.held:
        await asyncio.sleep(0)
    assert not change.done() and not failed.done() and not read.done()
    server.release()
    assert (await change).json() == 2
    assert (await failed).status_code == 422
    assert (await read).json() in (2, 3)
    assert server.http.under_way == 0


async def test_watchers_are_told_of_changes_over_http(server: Server) -> None:
    delivered = server.core.outbox.delivered

    class Watcher:
        user = server.engine.users["admin"]
        out: list[bytes] = []

        class form:
            @staticmethod
            def event(kind: int, data: Any) -> bytes:
                return json.dumps([kind, data]).encode()

        @property
        def subscriber(self) -> Any:
            return self

        def flush(self) -> None: ...

    watcher = Watcher()
    root = server.eval(".id()")
    server.core.requests.watch(watcher, "//stuff", [root]).events()
    assert (await query(server, ".y = 7")).json() == 7
    kind, event = json.loads(watcher.out[-1])
    assert (kind, event["#"], event["jobs"]) == (2, root, [{"set": {"y": 7}}])
    assert server.core.outbox.delivered == delivered + 1


async def test_no_memory_is_left_behind(server: Server) -> None:
    client = server.client(auth=None)
    token = server.eval("new_token('admin')", "@t")
    headers = {"Authorization": f"Token {token}"}

    async def round(count: int) -> None:
        for number in range(count):
            body = {"type": "query", "code": "1 / 0" if number % 2 else "1"}
            await client.post(f"{server.url}//stuff", json=body, headers=headers)
            await client.post(f"{server.url}/nowhere", json=body, headers=headers)
            await client.get("/ready")
            for raw in (b"junk\r\n\r\n", b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
                await server.raw(raw)

    await round(2)
    gc.collect()
    await round(20)
    left = _of_the_server()
    assert not left, left


def _of_the_server() -> list[str]:
    """What only a collector of cycles could free, as far as it belongs to the server."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        names = [type(thing).__qualname__ for thing in gc.garbage if _is_ours(thing)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    return names


def _is_ours(thing: Any) -> bool:
    return type(thing).__module__.startswith(("uvicorn", "starlette", "server", "engine"))


# --- bodies ----------------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(VALUES, st.sampled_from([JSON, MSGPACK]))
def test_what_was_encoded_can_be_decoded(value: Any, media: str) -> None:
    assert decode(media, encode(media, value)) == value


@given(st.binary(max_size=64), st.sampled_from([JSON, MSGPACK]))
def test_bytes_are_a_value_or_an_error(body: bytes, media: str) -> None:
    with contextlib.suppress(Malformed, EngineError):
        decode(media, body)


@given(
    st.dictionaries(
        st.text(max_size=3),
        st.text() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(0, 9) | st.booleans(),
        min_size=1,
    ),
    st.data(),
)
def test_a_cut_off_body_is_told_from_a_malformed_one(value: Any, data: Any) -> None:
    body = json.dumps(value, ensure_ascii=data.draw(st.booleans())).encode()
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(BadDataError):
        decode(JSON, body[:cut])


async def test_a_password_is_hashed_before_the_request_that_sets_it(server: Server) -> None:
    code = "new_user('iris'); set_password('iris', x)"
    for scope, body, result in (
        ("/t", {"type": "query", "code": code, "vars": {"x": "secret"}}, None),
        ("/t", {"type": "query", "code": "new_procedure('change', |x| set_password('iris', x))"}, "change"),
        ("/t", {"type": "run", "name": "change", "args": ["other"]}, None),
        ("/t", {"type": "query", "code": "user_info('iris').load().has_password"}, True),
    ):
        reply = await server.client().post(scope, json=body)
        assert (reply.status_code, reply.json()) == (200, result)
    body = {"type": "query", "code": "1"}
    assert (await server.client(auth=("iris", "secret")).post("/t", json=body)).status_code == 401
    assert (await server.client(auth=("iris", "other")).post("/t", json=body)).status_code == 403
