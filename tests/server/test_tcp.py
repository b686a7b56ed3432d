"""Native packages over TCP: login, order, bad input, bounds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgpack
import pytest

from server import native
from server.native import (
    AUTH,
    DATA,
    DELETE,
    EMIT,
    EMIT_PEER,
    ERROR,
    EVENT_ID,
    HEADER,
    INIT,
    JOIN,
    LEAVE,
    OK,
    PING,
    PONG,
    QUERY,
    ROOM_EMIT,
    RUN,
    UNWATCH,
    UPDATE,
    WARNING,
    WATCH,
)  # fmt: skip
from tests.server.fakes import FakeUser, House, bytes_of, turns, within

MakeHouse = Callable[..., Awaitable[House]]

# --- login -----------------------------------------------------------------------------------------------------------


async def test_ping(house: House) -> None:
    client = await house.tcp(login=False)
    assert await client.request(PING) == (PONG, None)
    assert await client.request(PING, {"any": "data"}) == (PONG, None)


@pytest.mark.parametrize("credentials", [["admin", "pass"], "token"])
async def test_login(house: House, credentials: Any) -> None:
    client = await house.tcp(login=False)
    assert await client.request(AUTH, credentials) == (OK, None)
    assert await client.request(QUERY, ["//stuff", "1+1"]) == (DATA, 2)


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        (None, -53),
        (5, -53),
        (b"\xc4\x01a", -53),
        ([], -53),
        (["admin"], -53),
        (["admin", "pass", "x"], -53),
        (["admin", 1], -53),
        ({"user": "admin"}, -53),
        (b"\x92\xa5adm", -53),
        (["admin", "wrong"], -56),
        (["nobody", "pass"], -56),
        ("wrong", -56),
    ],
)
async def test_a_login_that_fails_changes_nothing(house: House, credentials: Any, code: int) -> None:
    client = await house.tcp(login=False)
    kind, error = await client.request(AUTH, credentials)
    assert (kind, error["error_code"]) == (ERROR, code)
    assert list(error) == ["error_code", "error_msg"]
    kind, error = await client.request(QUERY, ["//stuff", "1+1"])
    assert (kind, error["error_code"]) == (ERROR, -56)
    assert await client.request(AUTH, ["admin", "pass"]) == (OK, None)
    await client.request(AUTH, credentials)
    assert await client.request(QUERY, ["//stuff", "1+1"]) == (DATA, 2)


@pytest.mark.parametrize("kind", [QUERY, RUN, JOIN, LEAVE, EMIT, EMIT_PEER, WATCH, UNWATCH])
@pytest.mark.parametrize("data", [None, b"\xc1", 7])
async def test_before_login_the_data_is_not_looked_at(house: House, kind: int, data: Any) -> None:
    client = await house.tcp(login=False)
    reply, error = await client.request(kind, data)
    assert (reply, error["error_code"]) == (ERROR, -56)
    assert house.engine.seen == []


async def test_a_slow_password_check_keeps_the_order_and_hurts_nobody_else(house: House) -> None:
    client, other = await house.tcp(login=False), await house.tcp()
    checking, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def check() -> bool:
        loop.call_soon_threadsafe(checking.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        return True

    house.engine.checks.append(check)
    house.engine.login = lambda name, password: check  # type: ignore[method-assign]
    client.send(bytes_of(PING, package_id=1), bytes_of(AUTH, ["admin", "pass"], 2), bytes_of(QUERY, ["@t", "1+1"], 3))
    await within(checking.wait())
    client.send(bytes_of(PING, package_id=4))
    assert await client.read() == (1, PONG, None)
    assert await other.request(QUERY, ["@t", "1+1"]) == (DATA, 2)
    assert house.engine.seen == ["1+1"]
    go_on.set()
    assert [await client.read() for _ in range(3)] == [(2, OK, None), (3, DATA, 2), (4, PONG, None)]


async def test_a_login_done_after_the_client_left_does_nothing(house: House) -> None:
    client = await house.tcp(login=False)
    go_on = asyncio.Event()
    loop = asyncio.get_running_loop()

    def check() -> bool:
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        return True

    house.engine.checks.append(check)
    house.engine.login = lambda name, password: check  # type: ignore[method-assign]
    client.send(bytes_of(AUTH, ["admin", "pass"]))
    await turns()
    client.writer.transport.abort()
    await turns()
    go_on.set()
    other = await house.tcp(login=False)
    assert await other.request(PING) == (PONG, None)
    assert not house.core.sessions


async def test_login_again_switches_the_user(house: House) -> None:
    client = await house.tcp()
    house.engine.user = FakeUser("iris")
    assert await client.request(AUTH, ["admin", "pass"]) == (OK, None)
    assert [session.user.name for session in house.core.sessions] == ["iris"]


async def test_too_many_requests_before_login(house_with: MakeHouse, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    house = await house_with(max_requests_before_login=3)
    client = await house.tcp(login=False)
    client.send(bytes_of(PING) * 5)
    replies = [await client.read() for _ in range(4)]
    assert [kind for _, kind, _ in replies] == [PONG, PONG, PONG, WARNING]
    assert replies[3][2]["warn_code"] == 3
    assert "more than 3 requests before login" in replies[3][2]["warn_msg"]
    assert await client.closed() == b""
    assert "more than 3 requests before login" in caplog.text


async def test_no_login_in_time(house_with: MakeHouse) -> None:
    house = await house_with(login_time=0.1)
    client, other = await house.tcp(login=False), await house.tcp()
    assert (await client.read())[2]["warn_msg"] == "no login within 0.1 seconds"
    assert await client.closed() == b""
    assert await other.request(PING) == (PONG, None)


async def test_a_large_package_before_login(house_with: MakeHouse) -> None:
    house = await house_with(max_package_before_login=1024)
    client = await house.tcp(login=False)
    client.send(HEADER.pack(2000, 1, PING, PING ^ 0xFF) + b"x" * 1100)
    assert await client.closed() == b""
    client = await house.tcp()
    assert await client.request(PING, b"x" * 2000) == (PONG, None)


async def test_too_many_connections(house_with: MakeHouse) -> None:
    house = await house_with(max_connections=2)
    first, _ = await house.tcp(), await house.tcp()
    third = await house.tcp(login=False)
    assert await third.closed() == b""
    assert await first.request(PING) == (PONG, None)
    first.writer.transport.abort()
    while len(house.core.connections) > 1:
        await asyncio.sleep(0)
    await house.tcp()


# --- bad input (the table of section 1) ---------------------------------------------------------------------------


@pytest.mark.parametrize("login", [False, True])
@pytest.mark.parametrize(
    "bad", [HEADER.pack(0, 1, PING, PING), HEADER.pack((1 << 30) + 1, 1, PING, PING ^ 0xFF)], ids=["check", "length"]
)
async def test_a_bad_header_closes_without_a_word(house: House, login: bool, bad: bytes) -> None:
    client = await house.tcp(login)
    client.send(bytes_of(PING), bad, bytes_of(PING))
    assert await client.read() == (1, PONG, None)
    assert await client.closed() == b""


@pytest.mark.parametrize("login", [False, True])
@pytest.mark.parametrize("length", [1, 1 << 30])
async def test_a_length_larger_than_what_follows_waits(house: House, login: bool, length: int) -> None:
    client = await house.tcp(login)
    client.send(HEADER.pack(length, 1, PING, PING ^ 0xFF))
    other = await house.tcp()
    assert await other.request(PING) == (PONG, None)
    if length == 1:
        client.send(b"\xc0")
        assert await client.read() == (1, PONG, None)
    else:
        assert not client.reader.at_eof()


@pytest.mark.parametrize("login", [False, True])
@pytest.mark.parametrize("kind", [0, 15, 16, 19, 31, 42, 64, 255])
async def test_an_unknown_type_is_passed_over(house: House, login: bool, kind: int) -> None:
    client = await house.tcp(login)
    client.send(bytes_of(kind, [1]), bytes_of(PING, package_id=2))
    assert await client.read() == (2, PONG, None)


@pytest.mark.parametrize("kind", [QUERY, RUN, JOIN, LEAVE, EMIT, EMIT_PEER, WATCH, UNWATCH])
@pytest.mark.parametrize("data", [None, 5, "text", {}, [], [1], [b"x"], [None], b"\xc1", b"\x91", b"\x92\xa9//s"])
async def test_a_request_that_is_no_array_beginning_with_a_scope(house: House, kind: int, data: Any) -> None:
    client = await house.tcp()
    reply, error = await client.request(kind, data)
    assert (reply, error["error_code"]) == (ERROR, -53)
    assert await client.request(PING) == (PONG, None)


def broken(value: bytes) -> bytes:
    """A query whose third item is a map with this value."""
    return b"\x93\xa7//stuff\xa4echo\x81\xa1a" + value


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (["//stuff"], -61),
        (["//stuff", None], -61),
        (["//stuff", b"1+1"], -61),
        (["//stuff", "fail"], -60),
        (["nowhere", 5], -54),
        (["stuff", 5], -60),
        (["//stuff", "echo", {"a": 1}, "more"], {"a": 1}),
        (msgpack.packb(["//stuff", "1+1"]) + b"rest", 2),
        (broken(b"\xc1"), -53),
        (broken(b""), -53),
        (broken(b"\xa5ab"), -53),
        (broken(b"\xd4\x05\x00"), -53),
        (broken(b"\xd6\xff\x00\x00\x00\x00"), -53),
        (broken(b"\x81\x90\x01"), -61),
        (broken(b"\xdd\xff\xff\xff\xff"), -53),
        (broken(b"\x91" * 2000), -53),
        (broken(b"\xca\x3f\xc0\x00\x00"), {"a": 1.5}),
        (broken(b"\xff"), {"a": -1}),
        (b"\x93\xa7nowhere\xa41+1 \xc1", -54),
        (b"\x93\xa7//stuff\x05\xc1", -61),
    ],
)
async def test_query(house: House, data: Any, expected: Any) -> None:
    client = await house.tcp()
    kind, answer = await client.request(QUERY, data)
    if isinstance(expected, int) and expected < 0:
        assert (kind, answer["error_code"]) == (ERROR, expected)
    else:
        assert (kind, answer) == (DATA, expected)


async def test_text_that_is_no_utf8_comes_back_as_it_went(house: House) -> None:
    client = await house.tcp()
    client.send(bytes_of(QUERY, broken(b"\xa2\xff\xfe")))
    header = await within(client.reader.readexactly(8))
    body = await within(client.reader.readexactly(HEADER.unpack(header)[0]))
    assert body == b"\x81\xa1a\xa2\xff\xfe"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (["//stuff"], -61),
        (["//stuff", 1], -61),
        (["//stuff", "f"], ["f", None]),
        (["//stuff", "f", [1]], ["f", [1]]),
        (["//stuff", "f", {"a": 1}], ["f", {"a": 1}]),
        (b"\x93\xa7//stuff\xa1f\xc1", -53),
    ],
)
async def test_run(house: House, data: Any, expected: Any) -> None:
    client = await house.tcp()
    kind, answer = await client.request(RUN, data)
    if isinstance(expected, int):
        assert (kind, answer["error_code"]) == (ERROR, expected)
    else:
        assert (kind, answer) == (DATA, expected)


async def test_an_unexpected_exception_is_an_internal_error(house: House, caplog: pytest.LogCaptureFixture) -> None:
    client = await house.tcp()
    kind, error = await client.request(QUERY, ["//stuff", "bug"])
    assert (kind, error["error_code"]) == (ERROR, -1)
    assert "Traceback" not in error["error_msg"]
    assert "a bug" in caplog.text
    assert await client.request(PING) == (PONG, None)


async def test_a_result_that_cannot_be_sent(house: House) -> None:
    client = await house.tcp()
    kind, error = await client.request(QUERY, ["//stuff", "nest 5000"])
    assert (kind, error["error_code"]) == (ERROR, -6)


# --- order ------------------------------------------------------------------------------------------------------------


async def test_every_request_is_answered_in_order_with_its_id(house: House) -> None:
    client = await house.tcp()
    kinds = [
        (PING, None, PONG), (QUERY, ["@t", "1+1"], DATA), (QUERY, ["@t", "change"], DATA), (RUN, ["@t", "f"], DATA),
        (QUERY, ["@t", "fail"], ERROR), (AUTH, ["admin", "pass"], OK), (AUTH, [], ERROR), (WATCH, ["//stuff"], OK),
        (JOIN, ["//stuff", 1], DATA), (LEAVE, ["//stuff", 1], DATA), (UNWATCH, ["//stuff"], OK),
    ]  # fmt: skip
    requests = [*kinds, *reversed(kinds)]
    client.send(*(bytes_of(kind, data, 65535 - index) for index, (kind, data, _) in enumerate(requests)))
    for index, (_, _, reply) in enumerate(requests):
        package_id, kind, _ = await client.read()
        if package_id == EVENT_ID and index:
            package_id, kind, _ = await client.read()
        assert (package_id, kind) == (65535 - index, reply)


async def test_events_come_before_the_reply_and_deletes_after(house: House) -> None:
    client = await house.tcp()
    client.send(
        bytes_of(WATCH, ["//stuff", 1, 2], 1), bytes_of(QUERY, ["@t", "say x"], 2), bytes_of(QUERY, ["@t", "gone x"], 3)
    )
    seen = [(package_id, kind) for package_id, kind, _ in [await client.read() for _ in range(7)]]
    assert seen == [
        (1, OK),
        (EVENT_ID, INIT),
        (EVENT_ID, INIT),
        (EVENT_ID, UPDATE),
        (2, DATA),
        (3, DATA),
        (EVENT_ID, DELETE),
    ]


async def test_emit(house: House) -> None:
    client = await house.tcp()
    assert await client.request(EMIT, ["//stuff", 3, "e", 1, "a"]) == (OK, None)
    package_id, kind, data = await client.read()
    assert (package_id, kind, data["args"]) == (EVENT_ID, ROOM_EMIT, [1, "a"])


async def test_nothing_leaves_before_it_is_durable(house: House) -> None:
    client, other = await house.tcp(), await house.tcp()
    await other.request(WATCH, ["//stuff"])
    house.committer.holding = True
    client.send(bytes_of(QUERY, ["@t", "1+1"], 1), bytes_of(QUERY, ["@t", "change"], 2), bytes_of(PING, package_id=3))
    assert await client.read() == (1, DATA, 2)
    other.send(bytes_of(PING, package_id=9))
    while house.core.outbox.held < 4:  # the change's reply and event, and both pongs
        await asyncio.sleep(0)
    client.send(bytes_of(QUERY, ["@t", "change"], 4))
    while house.core.outbox.held < 6:
        await asyncio.sleep(0)
    house.committer.release(1)
    assert await client.read() == (2, DATA, 1)
    assert await client.read() == (3, PONG, None)
    assert (await other.read())[2]["event"] == 1
    assert await other.read() == (9, PONG, None)
    assert house.core.outbox.held == 2
    house.committer.release(2)
    assert await client.read() == (4, DATA, 2)
    assert (await other.read())[2]["event"] == 2


async def test_when_the_disk_is_slow_requests_wait_unread(house: House) -> None:
    client = await house.tcp()
    house.committer.holding = True
    house.committer.backlog_bytes = 1 << 40
    client.send(*(bytes_of(QUERY, ["@t", "change"], index) for index in range(5)))
    while not house.core.outbox.held:
        await asyncio.sleep(0)
    await turns()
    assert house.engine.last_change == 1
    house.committer.backlog_bytes = 0
    house.committer.release(1)
    while house.engine.last_change < 5:
        await asyncio.sleep(0)
    house.committer.release(5)
    assert [(await client.read())[0] for _ in range(5)] == [0, 1, 2, 3, 4]


async def test_a_long_pipeline_lets_others_have_their_turn(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.session.TURN_TIME", -1.0)  # a turn is one request
    client, other = await house.tcp(), await house.tcp()
    client.send(*(bytes_of(QUERY, ["@t", "1+1"], index) for index in range(100)))
    await turns(5)
    assert await other.request(PING) == (PONG, None)
    assert len(house.engine.seen) < 100
    assert [(await client.read())[0] for _ in range(100)] == list(range(100))


async def test_a_client_that_has_sent_all_still_gets_its_replies(house: House) -> None:
    client = await house.tcp()
    house.committer.holding = True
    client.send(bytes_of(QUERY, ["@t", "change"], 1), bytes_of(PING, package_id=2))
    client.writer.write_eof()
    while house.core.outbox.held < 3:
        await asyncio.sleep(0)
    house.committer.release(1)
    assert await client.read() == (1, DATA, 1)
    assert await client.read() == (2, PONG, None)
    assert await client.closed() == b""


# --- slow readers -----------------------------------------------------------------------------------------------------


async def test_a_slow_reader_is_disconnected_with_a_reason_and_nobody_else_notices(
    house_with: MakeHouse, caplog: pytest.LogCaptureFixture
) -> None:
    house = await house_with(max_outgoing=2 << 20)
    slow, fast, talker = await house.tcp(), await house.tcp(), await house.tcp()
    assert await slow.request(WATCH, ["//stuff"]) == (OK, None)
    assert await fast.request(WATCH, ["//stuff"]) == (OK, None)
    slow.stop_reading()
    text = "x" * (1 << 20)
    sent = 0
    while len(house.hub.subscribers) == 2:
        assert sent < 50
        kind, _ = await talker.request(QUERY, ["@t", f"say {text}"])
        assert kind == DATA
        sent += 1
        assert (await fast.read())[1] == UPDATE
    assert "too slow" in caplog.text
    assert await talker.request(QUERY, ["@t", "say last"]) == (DATA, "last")
    assert (await fast.read())[2]["jobs"] == [{"event": ["last"]}]
    slow.read_on()
    got: list[tuple[int, int, Any]] = []
    while not got or got[-1][1] != WARNING:
        got.append(await slow.read())
    assert [kind for _, kind, _ in got[:-1]] == [UPDATE] * (len(got) - 1)
    assert "too slow" in got[-1][2]["warn_msg"]
    assert await slow.closed() == b""


async def test_who_does_not_read_replies_is_served_no_more_until_it_does(house: House) -> None:
    client, other = await house.tcp(), await house.tcp()
    client.stop_reading()
    client.send(*(bytes_of(QUERY, ["@t", f"bytes {1 << 20}"], index) for index in range(60)))
    while len(house.engine.seen) < 3:
        await asyncio.sleep(0)
    assert await other.request(PING) == (PONG, None)
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(house.engine.seen) < 60
    client.read_on()
    assert [(await client.read())[0] for _ in range(60)] == list(range(60))


# --- the node's status ------------------------------------------------------------------------------------------------


async def test_status_events(house: House) -> None:
    strange, plain, watcher = await house.tcp(login=False), await house.tcp(), await house.tcp()
    assert await watcher.request(WATCH, ["@n"]) == (OK, None)
    house.core.announce("SHUTTING_DOWN")
    assert await plain.read() == (EVENT_ID, native.NODE_STATUS, {"id": 0, "status": "SHUTTING_DOWN"})
    assert await watcher.read() == (EVENT_ID, native.NODE_STATUS, "SHUTTING_DOWN")
    assert await strange.request(PING) == (PONG, None)


async def test_random_bytes_do_no_harm(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    for junk in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00" * 10, b"\xff" * 100, b"\x00" * 100):
        client = await house.tcp(login=False)
        client.send(junk)
        client.writer.write_eof()
        await client.closed()
    assert caplog.text == ""
