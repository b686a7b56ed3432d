"""The HTTP port: an ASGI application of declared operations, and the connections that carry it.

Requests and responses are Starlette's, the protocol is uvicorn's. The loop, the listening sockets, and the order of
opening and closing are the server's own (`server.app`, `server.listeners`). So are the routes: paths are compared as
they were sent, since `//stuff` is one, and percent-decoding or a redirect to another form would make it something else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from uvicorn import Config as UvicornConfig

from engine.functions.node import VERSION
from server.config import Config
from server.core import Core
from server.http import metrics, status
from server.http.api import Api, is_scope
from server.http.connection import MAX_HEAD, HttpConnection, HttpLimits
from server.http.declaration import Handler, Operation, Reply, plain
from server.http.openapi import document
from server.http.streams import Streams

__all__ = ["Http"]

log = logging.getLogger("livethings.server")

MAX_OPEN = 256
"""Connections at once, event streams aside; more are closed."""


class Http:
    """One for the server. It serves the status from the start, everything else when it has its core."""

    def __init__(self, config: Config, loop: asyncio.AbstractEventLoop, word: Callable[[], str]) -> None:
        """`word` gives the node's status word."""
        self.core: Core | None = None
        self._loop = loop
        self._limits = HttpLimits(config.http_time, MAX_OPEN)
        self._api = Api(lambda: self.core, config.http_time, config.max_http_body)
        self._metrics = metrics.Metrics(lambda: self.core, self._limits)
        self.operations: list[Operation] = [
            *status.operations(word, VERSION),
            self._metrics.operation(),
            Operation(
                "openapi", "GET", ("/openapi.json",), "This description", self._openapi,
                {200: Reply("An OpenAPI document", {"application/json": {"type": "object"}})},
            ),
            Streams(lambda: self.core).operation(),
            self._api.operation(),
        ]  # fmt: skip
        self._document = document(self.operations, VERSION)
        self._get = {path: one for one in self.operations for path in one.paths if one.method == "GET"}
        self._uvicorn = UvicornConfig(
            self._serve, http=HttpConnection, ws="none", lifespan="off", interface="asgi3", log_config=None,
            access_log=False,  # it would hold the tokens in query strings
            proxy_headers=False,  # anybody could claim to come from anywhere, and failed logins are counted
            server_header=False, h11_max_incomplete_event_size=MAX_HEAD,
        )  # fmt: skip
        self._uvicorn.load()
        # Below are warnings that strangers can cause at will.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)

    def connection(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        return HttpConnection(self._uvicorn, self._limits, self._loop)

    # --- requests ---------------------------------------------------------------------------------------------------

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        began = time.perf_counter()
        request = Request(scope, receive)
        operation, respond = self._find(request)
        try:
            response = await respond(request)
        except Exception:
            log.exception("an HTTP request failed")
            response = plain(500, "the server failed; its log says how (-1)")
        self._metrics.answered(operation, response.status_code, time.perf_counter() - began)
        await response(scope, receive, send)

    def _find(self, request: Request) -> tuple[str, Handler]:
        """The name of the operation that a request is for, and what responds."""
        method, path = request.method, request.scope["raw_path"].decode("latin-1")
        known = self._get.get(path)
        if known is not None:
            if method != "GET":
                return known.name, _reply(plain(405, "METHOD NOT ALLOWED", {"allow": "GET"}, "\n"))
            if not request.scope["query_string"] or known.parameters:
                return known.name, known.handler
        elif method == "POST":
            return "execute", self._api.serve
        elif method != "GET" or is_scope(path):
            return "execute", _reply(plain(405, "METHOD NOT ALLOWED", {"allow": "POST"}))
        return "none", _reply(plain(404, "NOT FOUND", end="\n"))

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(self._document)

    # --- the end ----------------------------------------------------------------------------------------------------

    @property
    def under_way(self) -> int:
        """Requests that are executed, but not answered yet."""
        return self._api.under_way

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._limits.state.connections)

    def finish(self) -> None:
        """Close the connections that are idle now, and each other one after its response."""
        for connection in list(self._limits.state.connections):
            connection.shutdown()

    def abort(self) -> None:
        """Close all connections at once, whatever was promised on them."""
        for connection in list(self._limits.state.connections):
            connection.transport.abort()


def _reply(response: Response) -> Handler:
    async def respond(request: Request) -> Response:
        return response

    return respond
