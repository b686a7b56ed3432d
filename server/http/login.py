"""Who makes an HTTP request: its credentials, checked like any login (`server.authenticator`)."""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from engine.errors import AuthError
from server.authenticator import Credentials
from server.core import Core
from server.session import NO_HASHES

__all__ = ["CHALLENGE", "HttpCaller", "credentials_of", "login"]

CHALLENGE = {"www-authenticate": 'Basic realm="livethings", charset="UTF-8"'}
"""What a reply with status 401 has to carry (RFC 9110, section 15.5.2)."""


class HttpCaller:
    """The engine's caller: a user who can't be told events."""

    __slots__ = ("hashes", "user")
    subscriber = None

    def __init__(self, user: Any) -> None:
        self.user = user
        self.hashes: Mapping[str, bytes] | None = NO_HASHES


def credentials_of(header: str) -> Credentials | None:
    """The credentials of an Authorization header: a token, or user and password; None when it holds none."""
    scheme, _, rest = header.partition(" ")
    scheme = scheme.lower()
    if scheme in ("bearer", "token"):
        return rest or None
    if scheme != "basic":
        return None
    try:
        text = b64decode(rest, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    user, colon, password = text.partition(":")
    return (user, password) if colon else None


async def login(core: Core, request: Request, credentials: Credentials | None) -> Any:
    """The user with these credentials. Raises AuthError, or NodeError when too many logins are under way."""
    if credentials is None:
        raise AuthError("log in first")
    waiting: asyncio.Future[Any] = core.loop.create_future()

    def done(user: Any, error: Exception | None) -> None:
        if waiting.done():
            return  # who asked is gone
        if error is None:
            waiting.set_result(user)
        else:
            waiting.set_exception(error)

    core.authenticator.login(request.client.host if request.client else "?", credentials, done)
    return await waiting
