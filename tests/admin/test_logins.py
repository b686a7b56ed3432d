"""Logins of many at once, and what is kept of secrets (spec/admin-and-protocol.md, section 2)."""

from __future__ import annotations

import asyncio
import json
from hashlib import scrypt
from pathlib import Path

import pytest
from websockets.asyncio.client import connect as connect_websocket

from engine.engine import Engine
from engine.errors import AuthError
from engine.login import HashFirst, PasswordCheck, hash_password, verify_password
from engine.replay import Replay
from engine.users import User
from server.native import AUTH, DATA, ERROR, OK, QUERY
from tests.conftest import Admin
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
    kind, passes, mib = one[:3]
    assert kind == 0 and (mib, passes) in ((7, 5), (9, 4), (12, 3), (19, 2), (46, 1)), "Argon2id as OWASP has it"
    assert verify_password("secret", one) and not verify_password("Secret", one)


def old_hash(password: str) -> bytes:
    """A hash as earlier versions stored it."""
    salt = bytes(range(16))
    return bytes((14, 8, 1)) + salt + scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1, maxmem=1 << 26, dklen=32)


def test_an_old_hash_is_made_anew_at_login(engine: Engine) -> None:
    admin = engine.users["admin"]
    admin.password = old = old_hash("secret")
    wrong = engine.login("admin", "Secret")
    with pytest.raises(AuthError):
        engine.login_done(wrong, wrong())
    assert wrong.renewed is None and admin.password == old
    check = engine.login("admin", "secret")
    assert engine.login_done(check, check()) is admin
    renewed = engine.login_renewed(check)
    assert renewed is not None and renewed.change is not None
    assert admin.password is not None and admin.password[0] == 0 and verify_password("secret", admin.password)
    assert engine.login_renewed(check) is None
    assert engine.login("admin", "secret") is admin, "it is remembered under its new hash"
    replayed = Engine(clock=lambda: 1_500_000_000.0, seed=1)
    replayed.initialise()
    Replay(replayed).apply(renewed.change.packed)
    assert replayed.users["admin"].password == admin.password


def test_an_old_hash_that_changes_meanwhile_is_left_alone(engine: Engine) -> None:
    admin = engine.users["admin"]
    admin.password = old_hash("secret")
    check = engine.login("admin", "secret")
    assert engine.login_done(check, check()) is admin
    admin.password = None
    assert engine.login_renewed(check) is None and admin.password is None


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


class Caller:
    """A caller who hashes passwords before requests."""

    subscriber = None

    def __init__(self, engine: Engine) -> None:
        self.user = engine.users["admin"]
        self.hashes: dict[str, bytes] = {}


@pytest.mark.parametrize(
    ("code", "sent", "passwords"),
    [
        ("set_password('admin', 'one')", None, {"one"}),
        ("set_password('admin', x)", {"x": "one", "y": "two"}, {"one"}),
        ("new_user('a'); set_password('a', 'one'); set_password('admin', 'two')", None, {"one", "two"}),
        ("if (true) { [nil].each(|| set_password('admin', 'one')) }", None, {"one"}),
        ("set_password('admin', nil)", None, set()),
        ("set_password('admin', 'on' + 'e')", None, set()),
        ("set_password('admin', none)", None, set()),
        ("'set_password'; new_user('b')", None, set()),
    ],
)
def test_passwords_that_show_are_hashed_beforehand(
    engine: Engine, code: str, sent: object, passwords: set[str]
) -> None:
    caller = Caller(engine)
    if passwords:
        last = engine.last_change
        with pytest.raises(HashFirst) as first:
            engine.query(caller, "@t", code, sent)
        assert first.value.passwords == passwords
        assert (engine.last_change, engine.executing % 2) == (last, 0)
        caller.hashes = first.value()
        prepared = dict(caller.hashes)
        engine.query(caller, "@t", code, sent)
        assert {user.password for user in engine.users.values()} >= set(prepared.values())
        assert caller.hashes == {}
    else:
        engine.query(caller, "@t", code, sent)
    assert engine.query(Admin(engine), "@t", code, sent).change is not None  # others hash where they stand


def test_the_passwords_of_a_procedure(engine: Engine) -> None:
    caller = Caller(engine)
    engine.query(caller, "@t", "new_procedure('join', |name, key| { new_user(name); set_password(name, key); })")
    for arguments in (["iris", "secret"], {"key": "secret", "name": "lisa"}):
        with pytest.raises(HashFirst) as first:
            engine.run(caller, "@t", "join", arguments)
        assert first.value.passwords == {"secret"}
        caller.hashes = first.value()
        assert engine.run(caller, "@t", "join", arguments).error is None
    check = engine.login("lisa", "secret")
    assert engine.login_done(check, check()) is engine.users["lisa"]


def test_each_user_has_a_hash_of_its_own(engine: Engine) -> None:
    caller = Caller(engine)
    caller.hashes = {"same": hash_password("same")}
    code = "new_user('a'); new_user('b'); set_password('a', 'same'); set_password('b', 'same'); nil"
    assert engine.query(caller, "@t", code).error is None
    one, two = engine.login("a", "same"), engine.login("b", "same")
    assert one.stored != two.stored
    assert engine.login_done(two, two()).name == "b"
    assert engine.login_done(one, one()).name == "a"


async def test_requests_behind_a_new_password_wait_for_it_and_others_dont(start: Start) -> None:  # noqa: F811
    server = await start()
    await server.ready()
    admin, other = await server.client(), await server.client()
    code = "new_user('iris'); set_password('iris', x); user_info('iris').load().has_password"
    admin.send(
        bytes_of(QUERY, ["@t", code, {"x": "one"}], 1),
        bytes_of(QUERY, ["@t", "rename_user('iris', 'ivy')"], 2),
        bytes_of(QUERY, ["@t", "set_password('ivy', 'two')"], 3),
        bytes_of(QUERY, ["@t", "has_user('ivy')"], 4),
    )
    assert await other.request(QUERY, ["//stuff", "1"]) == (DATA, 1)
    assert [await admin.read() for _ in range(4)] == [
        (1, DATA, True),
        (2, DATA, None),
        (3, DATA, None),
        (4, DATA, True),
    ]
    assert await other.request(AUTH, ["ivy", "two"]) == (OK, None)
    async with connect_websocket(f"ws://127.0.0.1:{server.ws}/") as socket:
        for number, (method, params) in enumerate(
            [
                ("auth", ["admin", "pass"]),
                ("query", ["@t", "set_password('ivy', 'three')"]),
                ("query", ["@t", "has_user('ivy')"]),
            ]
        ):
            await socket.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        answers = [json.loads(await within(socket.recv())) for _ in range(3)]
    assert [(answer["id"], answer["result"]) for answer in answers] == [(0, None), (1, None), (2, True)]
    assert (await other.request(AUTH, ["ivy", "two"]))[0] == ERROR
    assert await other.request(AUTH, ["ivy", "three"]) == (OK, None)
    assert await server.end() == 0
