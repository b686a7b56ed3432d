"""What an HTTP operation is: declared once, from which both the routes and the OpenAPI document are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

__all__ = ["CRLF", "Handler", "Operation", "Parameter", "Reply", "plain"]

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

Schema: TypeAlias = Mapping[str, Any]
"""A JSON Schema (2020-12), as OpenAPI 3.1 has it."""

CRLF = "\r\n"


@dataclass(frozen=True)
class Reply:
    """What a status means, and the media types of its body with their schemas."""

    description: str
    content: Mapping[str, Schema] = field(default_factory=lambda: {"text/plain": {"type": "string"}})


@dataclass(frozen=True)
class Parameter:
    """A parameter in the query string, the path or a header."""

    name: str
    description: str
    schema: Schema
    where: str = "query"
    required: bool = False
    example: Any = None


@dataclass(frozen=True)
class Operation:
    """One thing that can be asked for. `paths` has the path of each form of it, as OpenAPI writes it."""

    name: str
    method: str
    paths: tuple[str, ...]
    summary: str
    handler: Handler
    replies: Mapping[int, Reply]
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Mapping[str, Schema] | None = None
    """The media types of the request's body with their schemas."""
    login: bool = False


def plain(status: int, text: str, headers: Mapping[str, str] | None = None, end: str = CRLF) -> Response:
    """A reply of one line, which ends as the specification of its page has it."""
    # The header is given, since Starlette would add a charset, which clients of the specification do not expect.
    return Response(f"{text}{end}", status, {"content-type": "text/plain", **(headers or {})})
