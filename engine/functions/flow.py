"""Functions that decide what else of a query runs: `try`, `alt_raise`, `assert`, `type_assert`, `timeit`, `nse`, `wse`
(spec/time-and-procedures.md, sections 2 and 6; spec/text-and-numbers.md, section 14); and whether all of it did:
`atomic` (docs/protocol.md).

Their arguments are evaluated by rules of their own in the compiler; what the generated code calls for them is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from engine.errors import AssertionFailed, LanguageError, OperationError, TypeFailed, ValueFailed, error_for
from engine.functions.registry import function, type_name
from engine.limits import MAX_ERROR_MESSAGE_BYTES
from engine.values.error import Error
from engine.values.list import List
from engine.values.text import byte_length, is_utf8
from engine.values.thing import Thing

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__ = [
    "caught_error",
    "error_code",
    "error_message",
    "fail_assertion",
    "fail_type_assertion",
    "has_type",
    "raise_instead",
    "same_error",
    "timed",
    "timer",
]


def _compiled(*_: Any) -> NoReturn:
    raise AssertionError("the compiler has a rule of its own for this function")


for _name, _arguments, _doc, _example in (
    ("try", "expression: any, errors*: any", "The value of an expression, or the error that it raised.", "try(1 / 0)"),
    ("alt_raise", "expression: any, code: int, message?: str", "Raises another error when an expression fails.",
     "alt_raise(.count / 0, -110, 'no count')"),
    ("assert", "condition: any, message?: str", "Raises AssertionError unless a condition is true.", "assert(2 > 1)"),
    ("type_assert", "value: any, names: any, message?: str", "Raises TypeError unless a value has one of the types.",
     "type_assert(5, ['int', 'float'])"),
    ("timeit", "expression: any", "The value of an expression and the seconds it took.", "timeit(range(1000).sum())"),
    ("nse", "value?: any", "From here on in the text, nothing makes the query a change.", "nse(); x = {}; x.a = 1;"),
    ("wse", "value?: any", "Makes the query a change.", "wse(.update())"),
):  # fmt: skip
    function(_name, _arguments, doc=_doc, example=_example, special=True, runs_code=_name not in ("nse", "wse"))(
        _compiled
    )


def caught_error(failure: Exception) -> Error:
    """The error value of what `try` caught."""
    if isinstance(failure, LanguageError):
        return Error.caught(failure)
    return Error(OperationError.code, "the query nests its calls too deeply")


def same_error(caught: Error, wanted: Value) -> bool:
    """Is the caught error the wanted one?"""
    if type(wanted) is not Error:
        raise TypeFailed(f"try() takes errors after the expression, not {type_name(wanted)}")
    return wanted.code == caught.code


def error_code(code: int) -> int:
    """The code of an error that code may make; ValueError otherwise."""
    if -127 <= code <= -50:
        return code
    raise ValueFailed(f"an error code is between -127 and -50, not {code}")


def error_message(message: str) -> str:
    """The message of an error; ValueError when it is too long or no valid UTF-8."""
    if byte_length(message) > MAX_ERROR_MESSAGE_BYTES:
        raise ValueFailed(f"the message of an error can be at most {MAX_ERROR_MESSAGE_BYTES} bytes long")
    if not is_utf8(message):
        raise ValueFailed("the message of an error must be valid UTF-8")
    return message


def raise_instead(failure: Exception, code: int, message: str | None = None) -> NoReturn:
    """What `alt_raise` does with the error that it caught."""
    old = caught_error(failure)
    raise error_for(error_code(code), old.message if message is None else error_message(message))


def fail_assertion(source: str, message: Value, given: bool) -> NoReturn:
    """`assert` with a condition that is false; `source` is the text of the condition."""
    if not given:
        raise AssertionFailed(f"this is not true: {source[:400].strip()}")
    if type(message) is not str:
        raise TypeFailed(f"assert() takes a str as message, not {type_name(message)}")
    raise AssertionFailed(error_message(message))


def has_type(value: Value, names: Value) -> bool:
    """Is the name of the value's type `names`, or one of them?"""
    name = type_name(value)
    if type(names) is str:
        return name == names
    if type(names) not in (List, tuple):
        raise TypeFailed(f"type_assert() takes a str or a list of str as names, not {type_name(names)}")
    for wanted in names:
        if type(wanted) is not str:
            raise TypeFailed(f"type_assert() takes names that are str, not {type_name(wanted)}")
        if wanted == name:
            return True
    return False


def fail_type_assertion(value: Value, names: Value, message: Value, given: bool) -> NoReturn:
    """`type_assert` with a value of another type."""
    if not given:
        wanted = names if type(names) is str else " or ".join(names)
        raise TypeFailed(f"a value of type {wanted} is wanted, not {type_name(value)}")
    if type(message) is not str:
        raise TypeFailed(f"type_assert() takes a str as message, not {type_name(message)}")
    raise TypeFailed(error_message(message))


def timer(ctx: Context) -> float:
    return ctx.engine.timer()


def timed(ctx: Context, begin: float, value: Value) -> Thing:
    """The result of `timeit`."""
    from engine.language.runtime import make_thing

    return make_thing(ctx, {"data": value, "time": ctx.engine.timer() - begin})


@function(
    "atomic",
    alias=True,
    doc="Makes the query atomic, before it changes anything: if it fails, nothing has changed.",
    example="atomic(); .x = 1",
)
def atomic(ctx: Context) -> None:
    ctx.become_atomic()
