"""The one error hierarchy: what the server answers, and what happens on the way to it.

What a server answers has the class of its code (docs/protocol.md, "Errors"), named as the server names it; where
Python has a class of that name, the name says what went wrong instead (`LookupFailed`, not `LookupError`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

__all__ = [
    "AssertionFailed",
    "AuthError",
    "BadDataError",
    "CancelledError",
    "ChangedError",
    "Closed",
    "ConnectFailed",
    "ConnectionLost",
    "CustomError",
    "EventsLost",
    "ForbiddenError",
    "InternalError",
    "LivethingsError",
    "LookupFailed",
    "MaxQuotaError",
    "MemoryLimitError",
    "NoReply",
    "NodeError",
    "NumArgumentsError",
    "OperationError",
    "OverflowFailed",
    "ProtocolError",
    "RequestCancelled",
    "RequestTimeout",
    "ResultTooLarge",
    "ServerError",
    "SyntaxFailed",
    "TypeFailed",
    "ValueFailed",
    "WriteError",
    "ZeroDivisionFailed",
    "server_error",
]


class LivethingsError(Exception):
    """Whatever this package raises, other than for wrong arguments (ValueError, TypeError)."""


# --- on the way ------------------------------------------------------------------------------------------------------


class ConnectFailed(LivethingsError, ConnectionError):
    """There was no server to talk to, or it did not take the connection. Nothing was sent."""


class ConnectionLost(LivethingsError, ConnectionError):
    """The connection ended before the reply came: whether the request was carried out is unknown."""


class NoReply(LivethingsError, TimeoutError):
    """The reply did not come in time; `sent` says whether the request had left, so that its outcome is unknown."""

    def __init__(self, message: str, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Closed(LivethingsError):
    """It has been closed on this side."""


class EventsLost(LivethingsError):
    """Events came faster than they were taken and filled the queue; the subscription has ended."""


class ProtocolError(LivethingsError):
    """What came from the other side is not the protocol of Livethings."""


# --- from the server -------------------------------------------------------------------------------------------------


class ServerError(LivethingsError):
    """The server's answer that a request failed: `code` (negative) and `message`; `name` is the class in the protocol.

    What a query changed before it failed stays changed, unless it was atomic.
    """

    code: int = -1
    name: ClassVar[str] = "InternalError"

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} ({self.name} {self.code})"


class CustomError(ServerError):
    """An error that code of users raised, with a code that has no class of its own (-127 to -65)."""

    name = "CustomError"

    def __init__(self, message: str = "", code: int = -100) -> None:
        super().__init__(message)
        self.code = code


class CancelledError(ServerError):
    code, name = -64, "CancelledError"


class OperationError(ServerError):
    code, name = -63, "OperationError"


class ChangedError(OperationError):
    """What the request was decided on has changed since: it has done nothing. Read again, decide again.

    `things` are the ids of those that it named which have changed, or may have, or are gone.
    """

    code, name = -7, "ChangedError"

    def __init__(self, message: str = "", things: Iterable[int] = ()) -> None:
        super().__init__(message)
        self.things = list(things)


class NumArgumentsError(ServerError):
    code, name = -62, "NumArgumentsError"


class TypeFailed(ServerError):
    code, name = -61, "TypeError"


class ValueFailed(ServerError):
    code, name = -60, "ValueError"


class OverflowFailed(ServerError):
    code, name = -59, "OverflowError"


class ZeroDivisionFailed(ServerError):
    code, name = -58, "ZeroDivisionError"


class MaxQuotaError(ServerError):
    code, name = -57, "MaxQuotaError"


class AuthError(ServerError):
    code, name = -56, "AuthError"


class ForbiddenError(ServerError):
    code, name = -55, "ForbiddenError"


class LookupFailed(ServerError):
    code, name = -54, "LookupError"


class BadDataError(ServerError):
    code, name = -53, "BadDataError"


class SyntaxFailed(ServerError):
    code, name = -52, "SyntaxError"


class NodeError(ServerError):
    """The server can't do it at the moment; trying the same again later can succeed."""

    code, name = -51, "NodeError"


class AssertionFailed(ServerError):
    code, name = -50, "AssertionError"


class ResultTooLarge(ServerError):
    code, name = -6, "ResultTooLargeError"


class RequestTimeout(ServerError):
    """The server ended the query because it ran too long."""

    code, name = -5, "RequestTimeoutError"


class RequestCancelled(ServerError):
    code, name = -4, "RequestCancelError"


class WriteError(ServerError):
    code, name = -3, "WriteUVError"


class MemoryLimitError(ServerError):
    code, name = -2, "MemoryError"


class InternalError(ServerError):
    code, name = -1, "InternalError"


_CLASSES: dict[int, type[ServerError]] = {
    cls.code: cls for cls in ServerError.__subclasses__() if cls is not CustomError
}


def server_error(code: int, message: str, things: Iterable[int] = ()) -> ServerError:
    """The error with a code; `things` where it names some."""
    if code == ChangedError.code:
        return ChangedError(message, things)
    if cls := _CLASSES.get(code):
        return cls(message)
    return CustomError(message, code)
