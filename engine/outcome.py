"""What requests come to, and what is said of those that fail."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from engine.errors import BadDataError, EngineError, InternalError, OperationError
from engine.functions.registry import type_name
from engine.values.incoming import incoming

if TYPE_CHECKING:
    from engine.change import Change
    from engine.effects import Effect
    from engine.futures import Pending

__all__ = ["Outcome", "failed", "procedure_arguments", "sent"]

log = logging.getLogger("livethings.engine")


class Outcome:
    """What a request came to.

    `value` is the result as a tree, or `error` what went wrong. `change` is to be made durable before anything is
    said. `effects` are what the query said while it ran, in order; `deleted` the ids of things that are gone since.
    `closed_rooms` are the rooms that are gone, each with its scope. `more` are the outcomes of futures that ran after
    the query, in order: announced like this one, before the reply. While it is `pending`, there is no reply yet.
    """

    __slots__ = ("change", "closed_rooms", "deleted", "effects", "error", "more", "pending", "value")

    def __init__(
        self,
        value: Any,
        error: EngineError | None = None,
        change: Change | None = None,
        effects: list[Effect] | None = None,
        deleted: list[int] | None = None,
    ) -> None:
        self.value = value
        self.error = error
        self.change = change
        self.effects = effects
        self.deleted = deleted
        self.more: list[Outcome] | None = None
        self.pending: Pending | None = None
        self.closed_rooms: list[tuple[str, int]] | None = None


def failed(failure: Exception) -> EngineError:
    """What to say of what ended a query, without what would keep the query's values alive."""
    if isinstance(failure, EngineError):
        failure.__traceback__ = failure.__context__ = failure.__cause__ = None
        return failure
    if isinstance(failure, RecursionError):
        return OperationError("the query nests its calls too deeply")
    if isinstance(failure, MemoryError):
        return OperationError("the query needs more memory than there is")
    log.error("internal error in a query", exc_info=failure)
    return InternalError("the server failed at this query; its log says more")


def procedure_arguments(params: tuple[str, ...], arguments: Any) -> list[Any]:
    """What a request sends to a procedure, by its parameters; BadDataError when it is neither list, map nor nil."""
    if arguments is None:
        return []
    if type(arguments) is list or type(arguments) is tuple:
        return [incoming(argument) for argument in arguments][: len(params)]
    if type(arguments) is dict:
        values = {name: incoming(argument) for name, argument in arguments.items()}
        return [values.get(name) for name in params]
    raise BadDataError(f"the arguments of a procedure are a list or a map, not {sent(arguments)}")


def sent(value: Any) -> str:
    """The type of what a client sent, in the words of the language, for errors."""
    try:
        return type_name(value)
    except KeyError:
        return type(value).__name__
