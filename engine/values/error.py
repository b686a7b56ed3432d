"""Error values (spec/time-and-procedures.md, section 2). An error value is not raised: `raise()` does that."""

from __future__ import annotations

from engine.errors import CLASSES, LanguageError, error_for
from engine.functions.registry import register_kind

__all__ = ["Error"]


class Error:
    """An immutable error value: a code from -127 to -50 and a message."""

    __slots__ = ("code", "message")

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message

    @classmethod
    def caught(cls, error: LanguageError) -> Error:
        """The value of an error that was raised."""
        return cls(error.code, error.message)

    def exception(self) -> LanguageError:
        """What to raise for it."""
        return error_for(self.code, self.message)

    @property
    def title(self) -> str:
        """The name watchers see: `value_err()` for -60, `err(-100)` for a code without a class."""
        return f"{CONSTRUCTORS[self.code]}()" if self.code in CONSTRUCTORS else f"err({self.code})"

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return type(other) is Error and other.code == self.code

    def __hash__(self) -> int:
        return hash(self.code)


CONSTRUCTORS = {
    -64: "cancelled_err",
    -63: "operation_err",
    -62: "num_arguments_err",
    -61: "type_err",
    -60: "value_err",
    -59: "overflow_err",
    -58: "zero_div_err",
    -57: "max_quota_err",
    -56: "auth_err",
    -55: "forbidden_err",
    -54: "lookup_err",
    -53: "bad_data_err",
    -52: "syntax_err",
    -51: "node_err",
    -50: "assert_err",
}
assert CONSTRUCTORS.keys() == CLASSES.keys()

register_kind("error", Error)
