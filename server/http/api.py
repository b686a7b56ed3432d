"""The query and run API: `POST` to a scope, in JSON or MessagePack.

Each request is checked, in the specification's order (page on administration and protocol, section 7): the path, the
login, whether the node serves, the content type, the body; then the engine checks as for a native request. An answer
waits, like any reply, in the outbox: nothing leaves before the changes that it could have seen are durable.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from engine.conditions import CONDITIONS
from engine.effects import Log
from engine.errors import AuthError, BadDataError, EngineError, ValueFailed
from engine.login import HashFirst
from engine.scopes import parse_scope
from server.contracts import Outcome
from server.core import Core
from server.http.bodies import JSON, MSGPACK, Malformed, decode, encode, media_type
from server.http.declaration import Operation, Parameter, Reply, Schema, plain
from server.http.login import CHALLENGE, HttpCaller, credentials_of, login
from server.session import internal_error, untraced

__all__ = ["Api", "error_reply", "is_scope"]

log = logging.getLogger("livethings.server")

_STATUS = {-53: 400, -52: 400, -56: 401, -55: 403, -54: 404, -51: 503, -7: 409}

_UNKNOWN_LOGIN = plain(401, "UNAUTHORIZED", CHALLENGE)


def status_of(code: int) -> int:
    """The HTTP status of an error code."""
    return _STATUS.get(code, 500 if -50 < code < 0 else 422)


def error_reply(error: EngineError) -> Response:
    """The reply that an error of the engine becomes: its message and code."""
    untraced(error)
    status = status_of(error.code)
    text = error.message.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return plain(status, f"{text} ({error.code})", CHALLENGE if status == 401 else None)


def is_scope(path: str) -> bool:
    """Whether a path has the form of a scope; there need be none."""
    try:
        parse_scope(path)
    except ValueFailed:
        return False
    return path.startswith("/")


class Api:
    """`core` gives what the server's connections share; None while it starts. `request_time` is in seconds,
    `max_body` in bytes."""

    def __init__(self, core: Callable[[], Core | None], request_time: float, max_body: int) -> None:
        self._core = core
        self._request_time = request_time
        self._max_body = max_body
        self.under_way = 0
        """Requests that are executed, but not answered yet."""

    async def serve(self, request: Request) -> Response:
        """The reply to a POST request, whatever its path."""
        path = request.scope["raw_path"].decode("latin-1")
        if request.scope["query_string"] or not is_scope(path):
            return plain(404, "NOT FOUND")
        core = self._core()
        if core is None:
            return plain(503, "SERVICE UNAVAILABLE")
        try:
            user = await login(core, request, credentials_of(request.headers.get("authorization", "")))
        except AuthError:
            return _UNKNOWN_LOGIN
        except EngineError as error:
            return error_reply(error)
        if core.status != "READY":
            return plain(503, "SERVICE UNAVAILABLE")
        media = media_type(request.headers.get("content-type"))
        if media is None:
            return plain(415, "UNSUPPORTED MEDIA TYPE")
        body = await self._body(request)
        if isinstance(body, Response):
            return body
        try:
            execute = _requested(decode(media, body), media)
        except Malformed:
            return plain(400, "BAD REQUEST")
        except EngineError as error:
            return error_reply(error)
        del body
        while not core.outbox.open and core.congested:
            await _called_back(core.outbox.when_drained)
        if core.status != "READY":
            return plain(503, "SERVICE UNAVAILABLE")
        self.under_way += 1
        try:
            caller = HttpCaller(user)
            return await _execute(core, media, caller, lambda: execute(core, caller, path))
        finally:
            self.under_way -= 1

    async def _body(self, request: Request) -> bytes | Response:
        """The body, as far as there may be one."""
        if "transfer-encoding" in request.headers:
            return plain(411, "LENGTH REQUIRED")
        if int(request.headers.get("content-length", "0")) > self._max_body:
            return plain(413, "CONTENT TOO LARGE")
        try:
            async with asyncio.timeout(self._request_time):
                return await request.body()
        except TimeoutError:
            return plain(408, "REQUEST TIMEOUT", {"connection": "close"})
        except ClientDisconnect:
            return plain(400, "BAD REQUEST")  # nobody reads it

    def operation(self) -> Operation:
        """The declaration."""
        return _OPERATION(self.serve)


def _requested(value: Any, media: str) -> Callable[[Core, HttpCaller, str], Outcome]:
    """What a decoded body asks for, checked as far as its own form goes; `media` is that of the reply. Raises
    BadDataError."""
    if not isinstance(value, dict):
        raise BadDataError("the body must be a map with type, and code or name")
    kind = value.get("type")
    conditions = {name: value[name] for name in CONDITIONS if value.get(name) is not None} or None
    fits = partial(encode, media)
    if kind == "query":
        code = value.get("code")
        variables = value.get("vars", {})
        if not isinstance(code, str):
            raise BadDataError('a query has its code, a str, under "code"')
        if not isinstance(variables, dict):
            raise BadDataError('the variables of a query, under "vars", are a map')
        return lambda core, caller, scope: core.engine.query(caller, scope, code, variables, conditions, fits)
    if kind == "run":
        name = value.get("name")
        arguments = value.get("args", [])
        if not isinstance(name, str):
            raise BadDataError('a run has the name of a procedure, a str, under "name"')
        if not isinstance(arguments, list | dict):
            raise BadDataError('the arguments of a run, under "args", are a list or a map')
        return lambda core, caller, scope: core.engine.run(caller, scope, name, arguments, conditions, fits)
    raise BadDataError('the type of a request is "query" or "run"')


async def _execute(core: Core, media: str, caller: HttpCaller, execute: Callable[[], Outcome]) -> Response:
    """Execute a request and give its reply, once it may be told."""
    try:
        try:
            outcome = execute()
        except HashFirst as passwords:
            caller.hashes = await _hashed(core, passwords)
            outcome = execute()
    except Exception:
        return error_reply(internal_error())
    if outcome.pending is not None:
        outcome = await _last(core, outcome)
    reply = _reply(media, outcome)
    if outcome.change is not None or outcome.effects or outcome.deleted or outcome.more:
        for part in (outcome, *(outcome.more or ())):
            for effect in part.effects or ():
                if isinstance(effect, Log):  # there is no connection to tell it to
                    log.info("log over HTTP: %s", effect.text)
        core.publish(outcome, None, None)
    await _called_back(core.outbox.when_said)
    return reply


async def _last(core: Core, outcome: Outcome) -> Outcome:
    """The last outcome of a query that waits for modules. When the client leaves meanwhile, it is published here."""
    waiting: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def last(part: Outcome) -> None:
        if waiting.done():
            core.publish(part, None, None)
        else:
            waiting.set_result(part)

    core.follow(outcome, last)
    return await waiting


def _reply(media: str, outcome: Outcome) -> Response:
    error = outcome.error
    if error is None:
        try:
            return Response(encode(media, outcome.value), 200, {"content-type": media})
        except EngineError as failure:
            error = failure
    return error_reply(error)


async def _hashed(core: Core, passwords: HashFirst) -> dict[str, bytes] | None:
    """The hashes of passwords that a request sets; None when they are to be made where they are set."""
    hashes: asyncio.Future[dict[str, bytes]] = asyncio.get_running_loop().create_future()
    core.authenticator.hash_first(passwords, lambda made: None if hashes.done() else hashes.set_result(made))
    return await hashes or None


async def _called_back(register: Callable[[Callable[[], None]], None]) -> None:
    """Wait for what one can only be called back by."""
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done() -> None:
        if not waiting.done():
            waiting.set_result(None)

    register(done)
    await waiting


# --- declaration -----------------------------------------------------------------------------------------------------

_CONDITIONS: dict[str, Schema] = {
    "atomic": {"type": "boolean", "description": "Whether an error leaves nothing changed"},
    "decided_at": {"type": "integer", "description": "The id of the change at which the request was decided on"},
    "things": {
        "type": "array",
        "items": {"type": "integer"},
        "description": "Ids of things: the request is refused when one has changed after decided_at; the whole scope "
        "if left out",
    },
}

_REQUEST: Schema = {
    "oneOf": [
        {
            "title": "Query",
            "type": "object",
            "required": ["type", "code"],
            "properties": {
                "type": {"const": "query"},
                "code": {"type": "string", "description": "Code of the query language"},
                "vars": {"type": "object", "description": "Variables of the code, by name"},
                **_CONDITIONS,
            },
        },
        {
            "title": "Run",
            "type": "object",
            "required": ["type", "name"],
            "properties": {
                "type": {"const": "run"},
                "name": {"type": "string", "description": "Name of a procedure"},
                "args": {
                    "type": ["array", "object"],
                    "description": "Arguments of the procedure, by position or by name",
                },
                **_CONDITIONS,
            },
        },
    ],
    "example": {"type": "query", "code": "x + 1", "vars": {"x": 41}},
}


def _OPERATION(handler: Callable[[Request], Any]) -> Operation:
    return Operation(
        "execute",
        "POST",
        ("//{collection}", "/thingsdb", "/node"),
        "Query a scope, or run a procedure in it",
        handler,
        {
            200: Reply("The result, in the media type of the request", {JSON: {}, MSGPACK: {}}),
            400: Reply("`BAD REQUEST`, or a message and (-53) or (-52): the body or the code can't be understood"),
            401: Reply("`UNAUTHORIZED`, or a message and (-56): the login is missing or wrong"),
            403: Reply("A message and (-55): the user has not the right"),
            404: Reply("`NOT FOUND`: the path is no scope; or a message and (-54): something is not there"),
            408: Reply("`REQUEST TIMEOUT`: the body came too slowly"),
            409: Reply("A message and (-7): what the request was decided on has changed since"),
            411: Reply("`LENGTH REQUIRED`: the body has no Content-Length"),
            413: Reply("`CONTENT TOO LARGE`: the body is larger than the server accepts"),
            415: Reply("`UNSUPPORTED MEDIA TYPE`: the body is neither JSON nor MessagePack"),
            422: Reply("A message and its code: the query failed"),
            500: Reply("A message and a code from -1 to -6: the server failed, or a limit was exceeded"),
            503: Reply("`SERVICE UNAVAILABLE`: the server starts or stops; or a message and (-51): it is too busy"),
        },
        "What a query did before it failed stays done, unless it is atomic. The answer leaves only when every change "
        "that it could have seen is on disk.",
        (Parameter("collection", "Name of a collection", {"type": "string"}, "path", True, "stuff"),),
        {JSON: _REQUEST, MSGPACK: _REQUEST},
        login=True,
    )
