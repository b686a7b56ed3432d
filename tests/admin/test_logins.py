"""Logins of many at once, and what is kept of secrets (spec/admin-and-protocol.md, section 2)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.engine import Engine
from engine.errors import AuthError
from engine.login import PasswordCheck, hash_password, verify_password
from engine.users import User
from server.native import AUTH, DATA, ERROR, OK, QUERY
from tests.server.fakes import Client, bytes_of, within
from tests.server.test_serve import Server, Start, start  # noqa: F401  (a fixture)

CLIENTS = 1000
USERS = 30


async def connect(server: Server) -> Client:
    return Client(*await asyncio.open_connection("127.0.0.1", server.tcp))


async def test_a_thousand_clients_come_back_while_queries_go_on(start: Start) -> None:  # noqa: F811
    server = await start()
    await server.ready()
    admin = await server.client()
    for number in range(USERS):
        name = f"u{number}"
        code = f"new_user('{name}'); set_password('{name}', 'p{number}'); grant('//stuff', '{name}', QUERY);"
        kind, token = await admin.request(QUERY, ["@t", f"{code} new_token('{name}')"])
        assert kind == DATA
    await server.end()

    server = await start()  # which has seen nobody yet
    await server.ready()
    asker = await connect(server)
    assert await asker.request(AUTH, token) == (OK, None)
    clients = [await connect(server) for _ in range(CLIENTS)]
    replies: list[str] = []

    async def login(number: int, client: Client) -> None:
        credentials = ["admin", "pass"] if number % 2 else [f"u{number % USERS}", f"p{number % USERS}"]
        client.send(bytes_of(AUTH, credentials))
        assert (await client.read())[1:] == (OK, None)
        replies.append("login")

    async def ask() -> None:
        for _ in range(5):
            assert await asker.request(QUERY, ["//stuff", "1 + 1"]) == (DATA, 2)
            replies.append("query")

    await asyncio.gather(*(login(*item) for item in enumerate(clients)), ask())
    assert replies.count("login") == CLIENTS
    assert "login" in replies[replies.index("query") :], "no query was answered before the last login"
    # Once known, a login is answered in the line of requests: nobody waits for it.
    again = await connect(server)
    again.send(bytes_of(AUTH, ["admin", "pass"]) + bytes_of(QUERY, ["//stuff", "2 + 2"]))
    assert (await again.read())[1:] == (OK, None)
    assert (await again.read())[1:] == (DATA, 4)
    assert await server.end() == 0


async def test_refused_logins_are_logged_and_slow_their_address_down(start: Start) -> None:  # noqa: F811
    server = await start()
    await server.ready()
    guesser, other = await connect(server), await server.client()
    guesser.send(*[bytes_of(AUTH, f"{number:022}", number) for number in range(33)])
    # The last of them wait, each for the one before; a client that knows its way in is served meanwhile.
    assert await other.request(QUERY, ["//stuff", "1"]) == (DATA, 1)
    for number in range(33):
        package_id, kind, error = await guesser.read()
        assert (package_id, kind, error["error_code"]) == (number, ERROR, -56)
    guesser.send(bytes_of(AUTH, ["nobody\n", "secret"]))
    assert (await guesser.read())[1] == ERROR
    assert await guesser.request(AUTH, ["admin", "pass"]) == (OK, None)
    assert await server.end() == 0
    said = await server.said()
    assert said.count("127.0.0.1: login refused for a token") == 33
    assert "127.0.0.1: login refused for user 'nobody\\n'" in said
    assert "secret" not in said


async def test_no_secret_is_on_disk(start: Start, tmp_path: Path) -> None:  # noqa: F811
    server = await start("--log-level", "debug")
    await server.ready()
    admin = await server.client()
    code = "new_user('iris'); set_password('iris', x); new_token('iris')"
    kind, token = await admin.request(QUERY, ["@t", code, {"x": "correct horse battery"}])
    assert kind == DATA
    for checkpoint in (False, True):
        if checkpoint:
            assert await server.end() == 0
        for file in (tmp_path / "data").iterdir():
            data = file.read_bytes()
            assert token.encode() not in data
            assert b"correct horse battery" not in data
    said = await server.said()
    assert token not in said and "correct horse" not in said
    server = await start()
    await server.ready()
    for credentials in (["iris", "correct horse battery"], token):
        client = await connect(server)
        assert await client.request(AUTH, credentials) == (OK, None)
    await within(server.end())


def test_a_hash_is_salted_and_says_its_cost() -> None:
    one, two = hash_password("secret"), hash_password("secret")
    assert one != two and len(one) == 3 + 16 + 32
    assert 128 * 2 ** one[0] * one[1] >= 16 << 20, "it should need at least 16 MiB"
    assert verify_password("secret", one) and not verify_password("Secret", one)


def test_clients_of_a_user_share_a_check_while_it_is_under_way(engine: Engine) -> None:
    one, two = engine.login("admin", "pass"), engine.login("admin", "pass")
    other = engine.login("admin", "wrong")
    assert one is two and one is not other
    assert isinstance(engine.login_done(one, one()), User)
    assert isinstance(engine.login_done(two, True), User)
    with pytest.raises(AuthError):
        engine.login_done(other, other())
    assert isinstance(engine.login("admin", "pass"), User)
    assert engine.login("admin", "wrong") is not other


def test_a_password_that_changes_meanwhile(engine: Engine) -> None:
    check = engine.login("admin", "pass")
    engine.users["admin"].password = hash_password("pass")
    assert engine.login("admin", "pass") is not check
    with pytest.raises(AuthError):
        engine.login_done(check, True)


@pytest.mark.parametrize("name", ["nobody", "iris"])
def test_who_there_is_does_not_show_in_how_long_a_refusal_takes(engine: Engine, name: str) -> None:
    engine.users["iris"] = User(99, "iris", 0)  # without a password
    check = engine.login(name, "secret")
    assert isinstance(check, PasswordCheck)
    with pytest.raises(AuthError):
        engine.login_done(check, check())
    with pytest.raises(AuthError):
        engine.login_done(check, True)
