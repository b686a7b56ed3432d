"""Error values: making and raising them (spec/time-and-procedures.md, section 2). `try`, `alt_raise` and `assert` are
in `flow`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from engine.errors import CLASSES
from engine.functions.flow import error_code, error_message
from engine.functions.registry import function, method
from engine.values.error import CONSTRUCTORS, Error
from engine.values.text import decoded

if TYPE_CHECKING:
    from engine.context import Context

__all__: list[str] = []

CUSTOM = -100
"""The code of an error that was given none."""

_WORDS = {
    -64: "the operation was cancelled",
    -63: "the operation is not possible now",
    -62: "the number of arguments is wrong",
    -61: "a value has the wrong type",
    -60: "a value is wrong",
    -59: "a number is too large",
    -58: "division by zero",
    -57: "a quota is reached",
    -56: "the login failed",
    -55: "a right is missing",
    -54: "something does not exist",
    -53: "the request is malformed",
    -52: "the code does not parse",
    -51: "the node can't do that now",
    -50: "an assertion failed",
}
assert _WORDS.keys() == CLASSES.keys()


def default_message(code: int) -> str:
    """The message of an error that was given none."""
    return _WORDS.get(code, f"error:{code}")


@function(
    "err",
    "code?: int, message?: str",
    doc="An error value with a code from -127 to -50 (default -100) and a message.",
    example="err(-110, 'out of stock')",
)
def err(ctx: Context, code: int = CUSTOM, message: str | None = None) -> Error:
    checked = error_code(code)
    return Error(checked, default_message(checked) if message is None else error_message(message))


def _declare(code: int, name: str) -> None:
    @function(
        name,
        "message?: str",
        doc=f"An error value of the class {CLASSES[code].name}.",
        example=f"{name}('not this time')",
    )
    def constructor(ctx: Context, message: str | None = None) -> Error:
        return Error(code, default_message(code) if message is None else error_message(message))


for _code, _name in CONSTRUCTORS.items():
    _declare(_code, _name)


@function(
    "raise",
    "error?: error|str|bytes",
    doc="Raises an error value, or a text as an error with the code -100.",
    example="try(raise('no such song'))",
)
def raise_(ctx: Context, error: Error | str | bytes | None = None) -> NoReturn:
    if type(error) is Error:
        raise error.exception()
    if error is None:
        raise Error(CUSTOM, default_message(CUSTOM)).exception()
    if isinstance(error, bytes):
        error = decoded(error)
    assert isinstance(error, str)
    raise Error(CUSTOM, error_message(error)).exception()


@method("error", "code", doc="The code of the error.", example="err(-110).code()")
def code(ctx: Context, error: Error) -> int:
    return error.code


@method("error", "msg", doc="The message of the error.", example="err(-110, 'out of stock').msg()")
def msg(ctx: Context, error: Error) -> str:
    return error.message
