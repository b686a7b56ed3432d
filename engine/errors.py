"""The one error hierarchy.

Codes and class names are those of the specification's page on errors. Codes from -127 to -50 are the language's
own: code can create, raise and catch them. Codes from -49 to -1 are internal: they end the query and `try` does
not catch them, or it did not begin.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

__all__ = [
    "CLASSES",
    "AssertionFailed",
    "AuthError",
    "BadDataError",
    "CancelledError",
    "ChangedError",
    "CustomError",
    "EngineError",
    "ForbiddenError",
    "InternalError",
    "LanguageError",
    "LookupFailed",
    "MaxQuotaError",
    "MemoryLimitError",
    "NodeError",
    "NumArgumentsError",
    "OperationError",
    "OverflowFailed",
    "RequestCancelled",
    "RequestTimeout",
    "ResultTooLarge",
    "SyntaxFailed",
    "TypeFailed",
    "UncatchableError",
    "ValueFailed",
    "WriteError",
    "ZeroDivisionFailed",
    "error_for",
]


class EngineError(Exception):
    """What went wrong with a request: `code` and `message` go to the client."""

    code: int = -1
    name: ClassVar[str] = "InternalError"

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


class LanguageError(EngineError):
    """An error that code can catch (-127 to -50)."""


class UncatchableError(EngineError):
    """An error that ends the query, whatever the code does (-49 to -1)."""


class CancelledError(LanguageError):
    code, name = -64, "CancelledError"


class OperationError(LanguageError):
    code, name = -63, "OperationError"


class NumArgumentsError(LanguageError):
    code, name = -62, "NumArgumentsError"


class TypeFailed(LanguageError):
    code, name = -61, "TypeError"


class ValueFailed(LanguageError):
    code, name = -60, "ValueError"


class OverflowFailed(LanguageError):
    code, name = -59, "OverflowError"


class ZeroDivisionFailed(LanguageError):
    code, name = -58, "ZeroDivisionError"


class MaxQuotaError(LanguageError):
    code, name = -57, "MaxQuotaError"


class AuthError(LanguageError):
    code, name = -56, "AuthError"


class ForbiddenError(LanguageError):
    code, name = -55, "ForbiddenError"


class LookupFailed(LanguageError):
    code, name = -54, "LookupError"


class BadDataError(LanguageError):
    code, name = -53, "BadDataError"


class SyntaxFailed(LanguageError):
    code, name = -52, "SyntaxError"


class NodeError(LanguageError):
    code, name = -51, "NodeError"


class AssertionFailed(LanguageError):
    code, name = -50, "AssertionError"


class CustomError(LanguageError):
    """An error with a code that has no class of its own (-127 to -65)."""

    name = "CustomError"

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class ChangedError(OperationError):
    """A request was decided on a state that is no more: it has done nothing. No code can raise or catch it.

    `things` are the ids of those that it named which have changed, or may have, or are gone.
    """

    code, name = -7, "ChangedError"

    def __init__(self, message: str = "", things: Iterable[int] = ()) -> None:
        super().__init__(message)
        self.things = list(things)


class ResultTooLarge(UncatchableError):
    code, name = -6, "ResultTooLargeError"


class RequestTimeout(UncatchableError):
    code, name = -5, "RequestTimeoutError"


class RequestCancelled(UncatchableError):
    code, name = -4, "RequestCancelError"


class WriteError(UncatchableError):
    code, name = -3, "WriteUVError"


class MemoryLimitError(UncatchableError):
    code, name = -2, "MemoryError"


class InternalError(UncatchableError):
    code, name = -1, "InternalError"


CLASSES: dict[int, type[LanguageError]] = {
    cls.code: cls
    for cls in (
        CancelledError, OperationError, NumArgumentsError, TypeFailed, ValueFailed, OverflowFailed,
        ZeroDivisionFailed, MaxQuotaError, AuthError, ForbiddenError, LookupFailed, BadDataError, SyntaxFailed,
        NodeError, AssertionFailed,
    )
}  # fmt: skip


def error_for(code: int, message: str) -> LanguageError:
    """The error with a code from -127 to -50."""
    if cls := CLASSES.get(code):
        return cls(message)
    return CustomError(code, message)
