"""How the node is, for those who only want to know that: no login, GET only.

Source: the specification's page on administration and protocol, section 7, status port.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from server.http.declaration import Operation, Reply, plain

__all__ = ["operations"]

_READY = ("READY", "AWAY", "AWAY_SOON")

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Livethings</title>
<h1>Livethings {version}</h1>
<p>The status of this node is {status}.</p>
<ul>
<li><a href="/openapi.json">/openapi.json</a> describes what can be asked for here
<li><a href="/metrics">/metrics</a> counts, for Prometheus
<li><a href="/status">/status</a>, <a href="/ready">/ready</a>, <a href="/healthy">/healthy</a>
</ul>
"""

_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


def _line(status: int, text: str) -> Response:
    """A reply of one line, after which the connection is closed."""
    return plain(status, text, {"connection": "close"}, "\n")


def operations(status: Callable[[], str], version: str) -> list[Operation]:
    """The status pages. `status` gives the node's status word."""

    async def healthy(request: Request) -> Response:
        return _line(200, "OK")

    async def ready(request: Request) -> Response:
        return _line(200, "OK") if status() in _READY else _line(503, "NOK")

    async def word(request: Request) -> Response:
        return _line(200, status())

    async def page(request: Request) -> Response:
        return HTMLResponse(_PAGE.format(version=escape(version), status=escape(status())), headers=_HEADERS)

    return [
        Operation(
            "page", "GET", ("/",), "The server's name and version", page, {200: Reply("A page", {"text/html": {}})}
        ),
        Operation("healthy", "GET", ("/healthy",), "Is the process alive?", healthy, {200: Reply("`OK`")}),
        Operation(
            "ready", "GET", ("/ready",), "Does it serve clients?", ready,
            {200: Reply("`OK`"), 503: Reply("`NOK`: it is starting or stopping")},
        ),
        Operation(
            "status", "GET", ("/status",), "The node's status word", word,
            {200: Reply("SYNCHRONIZING while it starts, READY, SHUTTING_DOWN, OFFLINE")},
        ),
    ]  # fmt: skip
