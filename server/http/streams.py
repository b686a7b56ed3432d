"""Server-sent events: `GET /events` answers with a stream of what is watched (HTML Standard, section 9.2).

A stream is a connection like those of TCP and WebSocket, with a form of its own: when its request has been accepted,
it takes the transport over from HTTP, and ends with it. So events are encoded once for all streams, leave with one
write a turn, and what waits for a slow reader is bounded.

The promise: the id that a client has last seen names a change of which it has all events, and of all changes before.
So who comes back with that id, as browsers do, gets what was missed and no more. Where a stream has rooms, the id also
has the number of the last event of these. Tests: tests/http/test_streams.py.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine.errors import AuthError, BadDataError, EngineError, LookupFailed, NodeError
from server import native
from server.connection import CLOSED, HIGH_WATER, MISSED
from server.contracts import Answer, Form, Tree
from server.core import Core
from server.forms import EVENT_METHODS, farewell
from server.http.api import error_reply
from server.http.declaration import Operation, Parameter, Reply, plain
from server.http.login import CHALLENGE, credentials_of, login
from server.jsonvalues import decode, encode
from server.session import Session, internal_error
from watch import Resumption
from watch.deep import MAX_DEEP
from watch.events import left_out

__all__ = ["EVENT_STREAM", "EventStream", "Streams"]

RETRY = 2000
"""Milliseconds after which a browser connects again."""

_HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Date: %b\r\n"
    b"Content-Type: text/event-stream\r\n"
    b"Cache-Control: no-store\r\n"
    b"Connection: close\r\n"
    b"X-Content-Type-Options: nosniff\r\n"
    b"X-Accel-Buffering: no\r\n"
    # Pages of any origin may read a stream whose token they know. With the star, browsers let none read one that was
    # opened by credentials which they keep.
    b"Access-Control-Allow-Origin: *\r\n"
    b"\r\n"
    b"retry: %d\n\n"
)


class Frame(bytes):
    """An event without the empty line that ends it, since an id may have to come before that line.

    `change` is the id of the change that it belongs to, `number` that of an event of a room; None where it has none.
    """

    change: int | None
    number: int | None

    def __new__(cls, text: bytes, change: int | None = None, number: int | None = None) -> Frame:
        frame = super().__new__(cls, text)
        frame.change = change
        frame.number = number
        return frame


class _EventStream:
    """The form of server-sent events: the method of JSON-RPC as the event's name, its parameters as data."""

    def event(self, kind: int, data: Tree) -> bytes:
        number = data.get("number") if kind == native.ROOM_EMIT else None
        return Frame(f"event: {EVENT_METHODS[kind]}\ndata: {encode(data)}\n".encode(), _change_of(data), number)


def _change_of(data: Tree) -> int | None:
    if isinstance(data, dict):
        for key in ("change", "event"):  # the latter is a name in events of rooms
            if type(change := data.get(key)) is int:
                return change
    return None


EVENT_STREAM: Form = _EventStream()


class Position:
    """How far a stream with rooms has been told: of which `change` and of which `number` all, and all before. A change
    is None until that is known."""

    __slots__ = ("change", "number")

    def __init__(self, change: int | None, number: int) -> None:
        self.change = change
        self.number = number


def numbered(frames: list[bytes], position: Position | None = None) -> Iterator[bytes]:
    """Complete events of frames that leave together. The last one of each change has the change's id.

    What has no change of its own belongs to the one before it. An empty frame only says up to which change all is told.
    With a position, every event of a room has an id too: it comes when all of the changes before it has been told.
    """
    change = None if position is None else position.change
    waiting: bytes | None = None
    for frame in frames:
        own = getattr(frame, "change", None)
        number = None if position is None else getattr(frame, "number", None)
        if waiting is not None and not frame:  # a mark, whose id the event before it can have
            if position is not None and number is not None and getattr(waiting, "number", None) is None:
                position.number = number
            change = own
            continue
        if waiting is not None:
            yield _complete(waiting, change, number is not None or (own is not None and own != change), position)
        if own is not None:
            change = own
        waiting = frame
    if waiting is not None:
        yield _complete(waiting, change, True, position)


def _complete(frame: bytes, change: int | None, whole: bool, position: Position | None) -> bytes:
    """An event; with an id where all of a change has been told with it, or where it is an event of a room."""
    if position is None:
        return b"%bid: %d\n\n" % (frame, change) if whole and change is not None else frame + b"\n"
    number = getattr(frame, "number", None)
    if number is not None:
        position.number = number
    if whole:
        position.change = change
    if position.change is None or not (whole or number is not None):
        return frame + b"\n"
    return b"%bid: %d.%d\n\n" % (frame, position.change, position.number)


def _nothing_asked(session: Session, requests: Iterator[Any]) -> None:
    raise AssertionError("nothing is asked on a stream")


class EventStream(Session):
    """One stream: what the hub says to it goes out, what comes in is thrown away."""

    __slots__ = ("live", "position")
    kind = "events"

    def __init__(self, core: Core, user: Any) -> None:
        super().__init__(core, EVENT_STREAM, _nothing_asked, native.package)
        self.user = user
        self.position: Position | None = None
        """Of a stream with rooms."""
        self.live = False
        """Whether it tells the result of a live query, which follows a change only later."""

    def begin(self, transport: asyncio.Transport) -> None:
        """Take over a connection whose request has been read."""
        self.transport = transport
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.address = str(peer[0])
        transport.set_write_buffer_limits(high=HIGH_WATER)
        transport.set_protocol(self)
        transport.write(_HEAD % (formatdate(usegmt=True).encode(), RETRY))
        self.core.look_after(self)

    def data_received(self, data: bytes) -> None:
        """Nothing is expected."""

    def flush(self) -> None:
        if self.out:
            self.out[:] = [b"".join(numbered(self.out, self.position))]
            super().flush()

    def tell(self, answers: Sequence[Answer | Resumption]) -> None:
        """Say what follows from what was asked for, one after the other."""
        left = len(answers)

        def told(outcome: Answer | EngineError) -> None:
            nonlocal left
            left -= 1
            if isinstance(outcome, EngineError):
                self.disconnect(outcome.message)
                return
            self.core.follow_up(outcome)
            if not left:
                self.mark()

        for answer in answers:
            self.answer(answer, told)

    def mark(self) -> None:
        """Tell up to which change the client has everything, once that is so."""
        number = None if self.position is None else self.core.hub.history.number
        self.core.outbox.say(self, Frame(b"", self.core.engine.last_change, number))

    def look(self) -> None:
        """A sign of life, so that proxies keep a silent stream open; it also renews the id."""
        if not self.closed:
            self.out.append(Frame(b": still there\n"))
            self.core.outbox.touch(self)
            due = self.live and self.core.live is not None and self.core.live.due
            if not due and not self.blocked & MISSED:
                self.mark()

    def goodbye(self, reason: str, code: int, told: bool = False) -> bytes:
        return b"" if told else farewell(self.form, reason) + b"\n"


# --- requests --------------------------------------------------------------------------------------------------------


class _HandedOver(Response):
    """The response of a request whose connection belongs to a stream now."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Nothing: the head is written."""


class Streams:
    """`core` gives what the server's connections share; None while it starts."""

    def __init__(self, core: Callable[[], Core | None]) -> None:
        self._core = core

    async def serve(self, request: Request) -> Response:
        """Begin a stream, or say why not."""
        core = self._core()
        if core is None or core.status != "READY":
            # A browser comes again when a connection fails, but never after a reply that is no stream.
            request.scope["state"]["connection"].drop()
            return _HandedOver()
        try:
            asked = _Asked(request)
            user = await login(core, request, asked.credentials)
            return self._begin(core, request, user, asked)
        except AuthError:
            return plain(401, "UNAUTHORIZED", CHALLENGE)
        except EngineError as error:
            return error_reply(error)
        except Exception:
            return error_reply(internal_error())

    @staticmethod
    def _begin(core: Core, request: Request, user: Any, asked: _Asked) -> Response:
        stream = EventStream(core, user)
        if not core.opened(stream):
            raise NodeError("there are too many connections, try again later")
        core.logged_in(stream)
        try:
            answers = asked.subscribe(stream)
        except BaseException:
            core.lost(stream)
            raise
        transport = request.scope["state"]["connection"].hand_over()
        if transport is None:  # the client is gone
            stream.blocked |= CLOSED
            core.lost(stream)
            return _HandedOver()
        stream.begin(transport)
        stream.tell(answers)
        return _HandedOver()

    def operation(self) -> Operation:
        """The declaration."""
        return Operation(
            "events",
            "GET",
            ("/events",),
            "Stream what is watched, as server-sent events",
            self.serve,
            {
                200: Reply(
                    "Events: their name is that of the protocol's event, their data its body in JSON, and their id "
                    "that of the last change of which all has been told; who comes back with it gets what was missed",
                    {"text/event-stream": {"type": "string"}},
                ),
                400: Reply("A message and (-53): the parameters can't be understood"),
                401: Reply("`UNAUTHORIZED`: the login is missing or wrong"),
                403: Reply("A message and (-55): the user has not the right"),
                404: Reply("A message and (-54): the collection or room is not there"),
                422: Reply("A message and (-60): the scope has not the form of one"),
                503: Reply("A message and (-51): there are too many connections"),
            },
            "A stream has things and rooms of a collection, or one live query. It ends when the server stops, or when "
            "its reader is too slow.",
            _PARAMETERS,
            login=True,
        )


_PARAMETERS = (
    Parameter("scope", "The collection, or the scope of a query", {"type": "string"}, required=True, example="//stuff"),
    Parameter(
        "thing",
        "Ids of things to watch; may be repeated",
        {"type": "array", "items": {"type": "integer", "minimum": 0}},
    ),
    Parameter(
        "deep",
        "Watch the things with what they contain, to so many steps; see the protocol",
        {"type": "integer", "minimum": 0, "maximum": MAX_DEEP},
    ),
    Parameter("room", "Ids or names of rooms to join; may be repeated", {"type": "array", "items": {"type": "string"}}),
    Parameter("code", "A query whose result is to be kept up to date", {"type": "string"}),
    Parameter("vars", "Its variables: a JSON object", {"type": "string"}),
    Parameter("procedure", "A procedure in the place of a query", {"type": "string"}),
    Parameter("args", "Its arguments: a JSON array or object", {"type": "string"}),
    Parameter("interval", "The fewest seconds between two updates of a result", {"type": "number", "minimum": 0}),
    Parameter("since", "As Last-Event-ID, for who can't set a header", {"type": "string", "pattern": r"^\d+(\.\d+)?$"}),
    Parameter("token", "A token, for who can't set a header, as browsers can't here", {"type": "string"}),
    Parameter("Last-Event-ID", "The last id that came", {"type": "string"}, "header"),
)

_LIVE = ("code", "vars", "procedure", "args", "interval")

_NAMES = frozenset(parameter.name for parameter in _PARAMETERS if parameter.where == "query")

MAX_PARAMETERS = 1000

MISSED_IN_ROOMS = "not all that was emitted in these rooms since then is kept: some events are left out"


class _Asked:
    """What a request asks for. Raises BadDataError when its parameters can't be understood."""

    def __init__(self, request: Request) -> None:
        values: dict[str, list[str]] = {name: [] for name in _NAMES}
        try:
            pairs = parse_qsl(
                request.scope["query_string"].decode("ascii"),
                keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_PARAMETERS,
            )  # fmt: skip
        except ValueError:
            raise BadDataError("a stream is asked for by parameters such as /events?scope=//stuff&thing=1") from None
        for name, value in pairs:
            if name not in _NAMES:
                raise BadDataError(f"there is no parameter {name[:80]!r}; there are {', '.join(sorted(_NAMES))}")
            values[name].append(value)
        if len(values["scope"]) != 1 or any(len(values[name]) > 1 for name in _NAMES - {"thing", "room"}):
            raise BadDataError("a stream has one scope, and each parameter but thing and room once at most")
        self.live = _live({name: values[name][0] for name in _LIVE if values[name]})
        if (self.live is not None) + bool(values["thing"] or values["room"]) != 1:
            raise BadDataError("a stream needs a thing to watch or a room to join, or the code of one live query")
        self.scope = values["scope"][0]
        self.things = [_id(text) for text in values["thing"]]
        self.deep = _number(values["deep"][0], "deep") if values["deep"] else None
        if self.deep is not None and not self.things:
            raise BadDataError("deep goes with a thing to watch")
        self.rooms: list[int | str] = [int(text) if _is_id(text) else text for text in values["room"]]
        # A browser comes back with the address that it had, and the header: that one is the later. One that is none of
        # our ids may come from another server in this one's place.
        last = request.headers.get("last-event-id", "")
        self.since: int | None = None
        self.number: int | None = None
        """Of the last event of its rooms."""
        if values["since"]:
            self.since, self.number = _position(values["since"][0])
        with contextlib.suppress(BadDataError):
            self.since, self.number = _position(last)
        self.credentials = credentials_of(request.headers.get("authorization", ""))
        if self.credentials is None and values["token"]:
            # In a query string a plus sign stands for a space, which no token has; tokens have plus signs.
            self.credentials = values["token"][0].replace(" ", "+")

    def subscribe(self, stream: EventStream) -> list[Answer | Resumption]:
        """Subscribe to all of it, or raise an EngineError; what is to be said follows."""
        requests = stream.core.requests
        answers: list[Answer | Resumption] = []
        if self.live is not None:
            if stream.core.live is None:
                raise BadDataError("this server has no live queries")
            stream.live = True
            since = {} if self.since is None else {"since": self.since}
            return [_First(stream, stream.core.live.subscribe(stream, self.scope, self.live | since))]
        if self.rooms:
            since = {} if self.number is None else {"since": self.number}
            joined = requests.join_with(stream, self.scope, {"rooms": self.rooms} | since)
            for asked, found in zip(self.rooms, joined.value["rooms"], strict=True):
                if found is None:
                    raise LookupFailed(f"there is no room {str(asked)[:80]} in {self.scope[:80]}")
            stream.position = Position(self.since, joined.value["number"] if self.number is None else self.number)
            answers.append(joined if joined.value.get("resumed", True) else _Lost(stream, joined))
        if self.things:
            options = {"ids": self.things, "deep": self.deep, "since": self.since}
            answers.append(requests.watch_with(stream, self.scope, options))
        return answers


class _Lost:
    """Rooms that were joined with a number after which some of their events are kept no more: a warning says so."""

    def __init__(self, stream: EventStream, joined: Answer) -> None:
        self.value = joined.value
        self._stream = stream
        self._joined = joined

    def events(self) -> None:
        warning = left_out(MISSED_IN_ROOMS, rooms=self.value["rooms"])
        self._stream.core.outbox.say(self._stream, self._stream.form.event(native.WARNING, warning))
        self._joined.events()


class _First:
    """The first result of a live query, which is an event on a stream."""

    def __init__(self, stream: EventStream, reply: dict[str, Any]) -> None:
        self.value = reply
        self._stream = stream

    def events(self) -> None:
        if "value" in self.value:
            stream = self._stream
            stream.core.outbox.say(stream, stream.form.event(native.LIVE_UPDATE, self.value))


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _position(text: str) -> tuple[int, int | None]:
    """A change and, from a stream with rooms, the number of an event. Raises BadDataError."""
    change, dot, number = text.partition(".")
    if not _is_id(change) or (dot and not _is_id(number)):
        raise BadDataError(f"since is an id that came in a stream, not {text[:80]!r}")
    return int(change), int(number) if dot else None


def _number(text: str, name: str) -> int:
    if not _is_id(text):
        raise BadDataError(f"{name} is a number, not {text[:80]!r}")
    return int(text)


def _live(values: dict[str, str]) -> dict[str, Any] | None:
    """What is asked of a live query, None for nothing."""
    if not values:
        return None
    asked: dict[str, Any] = {}
    for name, text in values.items():
        try:
            asked[name] = text if name in ("code", "procedure") else decode(text)
        except ValueError as error:
            raise BadDataError(f"{name} is no JSON: {error}") from None
    return asked


def _id(text: str) -> int:
    if not _is_id(text):
        raise BadDataError(f"the id of a thing is a number, not {text[:80]!r}")
    return int(text)
