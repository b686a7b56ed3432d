"""Live queries: the result of a query, and each later one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from livethings.connection import Connection, Unsent
from livethings.errors import ConnectionLost, server_error
from livethings.packages import Request
from livethings.patches import PatchError, patched
from livethings.subscriptions import Subscription

if TYPE_CHECKING:
    from typing import Self

    from livethings.link import Link

__all__ = ["Live"]

log = logging.getLogger("livethings")


class Live(Subscription[Any]):
    """The result of a query, and the new one whenever a change makes it another.

    Read slowly, it gives the newest result: those in between are left out. A result that was given out is not changed
    later. It outlives the connection, and then gives a result only if that is another one. It ends with the server's
    error when the query fails, or the right to it is lost.
    """

    def __init__(self, link: Link, scope: str, what: dict[str, Any]) -> None:
        super().__init__(link)
        self._scope = scope
        self._what = what
        self._interval: float | None = None
        self._id: int | None = None
        self._known = False
        self._value: Any = None
        self._new = False
        self._change = 0  # which the newest result is true at
        self.change = 0
        """The change that the result that was last given out is true at."""

    def every(self, seconds: float) -> Self:
        """Have a result at most so often; said before it begins. Raises ValueError for what is no time."""
        if not seconds >= 0:
            raise ValueError(f"an interval is a number of seconds from 0 on, not {seconds!r}")
        if self._started is not None:
            raise RuntimeError("the interval is said before the live query begins")
        self._interval = seconds
        return self

    def attach(self, connection: Connection) -> None:
        body = dict(self._what)
        if self._interval is not None:
            body["interval"] = self._interval
        if self._known:
            body["since"] = self._change
        self._id = None

        def entered(value: Any, error: Exception | None) -> None:
            if isinstance(error, ConnectionLost | Unsent):
                return  # the link subscribes again
            if error is not None:
                self.fail(error)
                return
            if self._ended:
                connection.send(Request.UNSUBSCRIBE, [value["subscription"]], lambda value, error: None)
                return
            self._id = value["subscription"]
            connection.routes.live[self._id] = self
            self._change = value["change"]
            if not value.get("resumed") and not (self._known and _same(self._value, value["value"])):
                self._take_in(value["value"])
            self._is_started()

        connection.send(Request.SUBSCRIBE, [self._scope, body], entered)

    def detach(self, connection: Connection) -> None:
        if self._id is not None and connection.routes.live.pop(self._id, None) is not None:
            connection.send(Request.UNSUBSCRIBE, [self._id], lambda value, error: None)

    def on_update(self, data: dict[str, Any]) -> None:
        """Another result has come, or how it differs."""
        self._change = data["change"]
        if "patch" not in data:
            self._take_in(data["value"])
            return
        try:
            self._take_in(patched(self._value, data["patch"]))
        except PatchError as error:
            log.error("a live query begins anew: %s", error)
            self._known = False  # what is known is of no use: begin anew
            connection = self._link.connection
            if connection is not None:
                self.detach(connection)
                self.attach(connection)

    def on_end(self, data: dict[str, Any]) -> None:
        """The server has ended it."""
        self._id = None
        self.fail(server_error(data["error_code"], data["error_msg"]))

    def _take_in(self, value: Any) -> None:
        self._known = True
        self._value = value
        self._new = True
        self._wake()

    def _holds(self) -> bool:
        return self._new

    def _take(self) -> Any:
        self._new = False
        self.change = self._change
        return self._value


def _same(one: Any, other: Any) -> bool:
    """Are two results the same to the server? To Python, `True`, 1 and 1.0 are equal."""
    if type(one) is not type(other):
        return False
    if type(one) is list:
        return len(one) == len(other) and all(map(_same, one, other))
    if type(one) is dict:
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    return bool(one == other or (one != one and other != other))  # nan is not equal to itself
