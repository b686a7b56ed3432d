"""A small engine, committer and hub, so that the server can be tested on its own; and raw clients."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import msgpack

from engine.errors import AuthError, EngineError, ForbiddenError, LookupFailed, TypeFailed, ValueFailed
from server import native
from server.config import Config
from server.contracts import Say
from server.core import Core
from server.listeners import Listeners
from server.outbox import Outbox

WAIT = 10.0
"""Seconds that a test waits for what must come."""


# --- engine ----------------------------------------------------------------------------------------------------------


@dataclass
class FakeChange:
    id: int
    packed: bytes = b"packed"


@dataclass
class FakeOutcome:
    value: Any = None
    error: EngineError | None = None
    change: FakeChange | None = None
    effects: Any = None
    deleted: Any = None
    more: Any = None
    pending: Any = None


@dataclass
class FakeUser:
    name: str


class FakeEngine:
    """Its language: `1+1`; `echo` gives the variables; `change`; `fail`; `bug`; `bytes N`; `nest N`; `say TEXT`
    has the hub say it to everybody who watches, before the reply, and `gone TEXT` after it."""

    def __init__(self) -> None:
        self.last_change = 0
        self.executing = 0
        self.default_password = True
        self.user = FakeUser("admin")
        self.seen: list[str] = []
        self.checks: list[Callable[[], bool]] = []
        self.cached = True

    def query(
        self, caller: Any, scope: str, code: Any, variables: Any, conditions: Any = None, fits: Any = None
    ) -> FakeOutcome:
        assert caller.subscriber is caller
        if scope == "nowhere":
            return FakeOutcome(error=LookupFailed("there is no nowhere"))
        if not scope.startswith(("@", "/")):
            return FakeOutcome(error=ValueFailed("a scope is written @thingsdb"))
        if type(code) is not str:
            return FakeOutcome(error=TypeFailed("the code of a query is a str"))
        if isinstance(variables, EngineError):
            return FakeOutcome(error=variables)
        self.seen.append(code)
        word, _, rest = code.partition(" ")
        if word == "1+1":
            return FakeOutcome(2)
        if word == "echo":
            return FakeOutcome(variables)
        if word == "change":
            self.last_change += 1
            return FakeOutcome(self.last_change, change=FakeChange(self.last_change))
        if word == "fail":
            return FakeOutcome(error=ValueFailed("failed"))
        if word == "bytes":
            return FakeOutcome(b"x" * int(rest))
        if word == "nest":
            value: Any = 1
            for _ in range(int(rest)):
                value = [value]
            return FakeOutcome(value)
        if word == "say":
            return FakeOutcome(rest, effects=[rest])
        if word == "gone":
            return FakeOutcome(rest, deleted=[rest])
        raise RuntimeError("a bug")

    def run(
        self, caller: Any, scope: str, procedure: Any, arguments: Any, conditions: Any = None, fits: Any = None
    ) -> FakeOutcome:
        if type(procedure) is not str:
            return FakeOutcome(error=TypeFailed("the name of a procedure is a str"))
        if isinstance(arguments, EngineError):
            return FakeOutcome(error=arguments)
        return FakeOutcome([procedure, arguments])

    def count_refused(self) -> None:
        self.refused = getattr(self, "refused", 0) + 1

    def login(self, name: str, password: str) -> Any:
        if name != "admin":
            raise AuthError("unknown user or wrong password")
        if self.cached and password == "pass":
            return self.user
        check = lambda: password == "pass"  # noqa: E731
        self.checks.append(check)
        return check

    def login_token(self, token: str) -> Any:
        if token != "token":
            raise AuthError("unknown or expired token")
        return self.user

    collecting = False

    def collect_garbage(self) -> Any:
        return None

    def login_done(self, check: Callable[[], bool], verified: bool) -> Any:
        assert check in self.checks
        if not verified:
            raise AuthError("unknown user or wrong password")
        return self.user

    def login_renewed(self, check: Callable[[], bool]) -> Any:
        return None


class FakeCommitter:
    """Durable at once, or, after `hold`, when the test says so."""

    def __init__(self) -> None:
        self.appended: list[int] = []
        self.holding = False
        self.on_durable: Callable[[int], None] = lambda change_id: None
        self.backlog_bytes = 0

    def give_way(self) -> None:
        pass

    def append(self, change_id: int, packed: bytes) -> None:
        self.appended.append(change_id)
        if not self.holding:
            self.on_durable(change_id)

    def release(self, change_id: int) -> None:
        self.on_durable(change_id)


# --- watch -----------------------------------------------------------------------------------------------------------


@dataclass
class FakeAudience:
    connections: tuple[Any, ...]
    appends: tuple[Callable[[bytes], None], ...]


@dataclass
class FakeAnswer:
    value: Any
    events: Callable[[], None]


class FakeHub:
    """Who watches anything watches everything."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.subscribers: list[Any] = []
        self.resumed = self.restarted = 0
        self.store = None
        self.node: set[Any] = set()

    def tell(self, kind: int, data: Any) -> None:
        for form in {subscriber.form for subscriber in self.subscribers}:
            connections = tuple(one for one in self.subscribers if one.form is form)
            audience = FakeAudience(connections, tuple(one.out.append for one in connections))
            self.say(audience, form.event(kind, data))

    def before_reply(self, outcome: Any, subscriber: Any) -> None:
        for effect in outcome.effects or ():
            self.tell(native.UPDATE, {"#": 1, "event": 1, "jobs": [{"event": [effect]}]})
        if outcome.change is not None:
            self.tell(native.UPDATE, {"#": 1, "event": outcome.change.id, "jobs": []})

    def settle(self) -> None:
        """Nobody watches deeply."""

    def after_reply(self, outcome: Any) -> None:
        for _ in outcome.deleted or ():
            self.tell(native.DELETE, {"#": 1})

    presence: Any = None

    def watches_node(self, subscriber: Any) -> bool:
        return subscriber in self.node

    def user_changed(self, subscriber: Any, before: Any) -> None:
        """Nobody asks who is where."""

    def drop(self, subscriber: Any) -> None:
        if subscriber in self.subscribers:
            self.subscribers.remove(subscriber)
        self.node.discard(subscriber)

    # requests

    def watch(self, caller: Any, scope: str, ids: Sequence[Any]) -> FakeAnswer:
        if scope == "//forbidden":
            raise ForbiddenError("no right to watch")
        if scope.startswith("@n"):
            self.node.add(caller)
        elif caller not in self.subscribers:
            self.subscribers.append(caller)

        def events() -> None:
            for thing in ids:
                data = {"event": 0, "thing": {"#": thing}, "collection": "stuff"}
                self.say(caller, caller.form.event(native.INIT, data))

        return FakeAnswer(None, events)

    def unwatch(self, caller: Any, scope: str, ids: Sequence[Any]) -> FakeAnswer:
        self.drop(caller)
        return FakeAnswer(None, lambda: None)

    def join(self, caller: Any, scope: str, rooms: Sequence[Any]) -> FakeAnswer:
        return FakeAnswer(list(rooms), lambda: None)

    def leave(self, caller: Any, scope: str, rooms: Sequence[Any]) -> FakeAnswer:
        return FakeAnswer([None for _ in rooms], lambda: None)

    def emit(self, caller: Any, scope: str, items: Sequence[Any], peers: bool) -> FakeAnswer:
        room, event, *args = items
        data = {"scope": "@collection:stuff", "id": room, "event": event, "args": args}
        return FakeAnswer(None, lambda: self.say(caller, caller.form.event(native.ROOM_EMIT, data)))


# --- the house -------------------------------------------------------------------------------------------------------


_PORTS = range(15_000, 32_000)
"""Below those that systems give to connections: a server that is started again finds its own still free."""

_ports = itertools.cycle(random.sample(_PORTS, len(_PORTS)))


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    found: list[int] = []
    while len(found) < count:
        port = next(_ports)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        found.append(port)
    return found


@dataclass
class House:
    """A server on fakes."""

    config: Config
    engine: FakeEngine
    committer: FakeCommitter
    hub: FakeHub
    core: Core
    listeners: Listeners
    clients: list[Client] = field(default_factory=list)

    async def tcp(self, login: bool = True, tls: ssl.SSLContext | None = None) -> Client:
        """A client on TCP."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.config.tcp_port, ssl=tls, limit=1 << 24)
        client = Client(reader, writer)
        self.clients.append(client)
        if login:
            assert await client.request(native.AUTH, ["admin", "pass"]) == (native.OK, None)
        return client

    async def close(self) -> None:
        for client in self.clients:
            client.writer.transport.abort()
        self.listeners.close()
        for connection in self.core.connections:
            if connection.transport is not None:
                connection.transport.abort()
        self.core.authenticator.close()


async def build(**settings: Any) -> House:
    """A server on fakes that listens on free ports."""
    tcp, ws, http = free_ports(3)
    config = Config(**({"tcp_port": tcp, "ws_port": ws, "http_port": http} | settings))
    loop = asyncio.get_running_loop()
    engine, committer = FakeEngine(), FakeCommitter()
    outbox = Outbox(loop.call_soon)
    committer.on_durable = outbox.durable
    hub = FakeHub(outbox.say)
    core = Core(engine, committer, hub, hub, outbox, config, loop)
    listeners = Listeners(config, loop)
    http = await listeners.open_http(lambda: core.status)
    http.core = core
    await listeners.open(core)
    core.start()
    return House(config, engine, committer, hub, core, listeners)


# --- clients ---------------------------------------------------------------------------------------------------------


def bytes_of(kind: int, data: Any = None, package_id: int = 1) -> bytes:
    """A request as bytes; no data for None, the bytes themselves for bytes."""
    body = b"" if data is None else data if isinstance(data, bytes) else msgpack.packb(data)
    return native.package(package_id, kind, body)


class Client:
    """A raw client that reads packages one by one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *chunks: bytes) -> None:
        self.writer.write(b"".join(chunks))

    def stop_reading(self) -> None:
        cast(asyncio.Transport, self.writer.transport).pause_reading()

    def read_on(self) -> None:
        cast(asyncio.Transport, self.writer.transport).resume_reading()

    async def read(self) -> tuple[int, int, Any]:
        """The next package: id, type, data."""
        header = await within(self.reader.readexactly(native.HEADER_SIZE))
        length, package_id, kind, check = native.HEADER.unpack(header)
        assert kind ^ check == 0xFF
        body = await within(self.reader.readexactly(length))
        return package_id, kind, msgpack.unpackb(body) if body else None

    async def request(self, kind: int, data: Any = None) -> tuple[int, Any]:
        """Send a request and read one package, its reply: type and data."""
        self.send(bytes_of(kind, data))
        package_id, reply, answer = await self.read()
        assert package_id == 1
        return reply, answer

    async def closed(self) -> bytes:
        """Wait for the end of the connection; what came before it."""
        try:
            return await within(self.reader.read(-1))
        except ConnectionError:
            return b""


T = TypeVar("T")


async def within(awaitable: Awaitable[T]) -> T:
    """What the awaitable gives, or TimeoutError."""
    return await asyncio.wait_for(awaitable, WAIT)


async def turns(count: int = 20) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)
