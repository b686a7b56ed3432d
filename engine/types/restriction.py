"""Restrictions: the one kind of value that a thing, or the list or set of a field, accepts (spec/things.md, section
2.1; spec/types.md, section 2).

A restriction is a plain name: a base name such as `int`, a type or an enum; with `?` at the end it accepts nil too.
Conditions, patterns and containers with a kind of their own are the business of field definitions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from engine.errors import TypeFailed, ValueFailed
from engine.functions.registry import FUNCTIONS, KINDS, type_name
from engine.values.text import is_utf8
from engine.values.thing import Instance

if TYPE_CHECKING:
    from engine.scopes import Scope
    from engine.types.enum import Enum
    from engine.types.type import Type
    from engine.values.thing import Value

__all__ = ["BASES", "Restriction", "restriction_of", "unpacked"]

Test: TypeAlias = Callable[[Any], bool]


def _text_form(name: str) -> Test:
    """The empty text, or a text of the form that the function `is_NAME` tests."""
    return lambda value: value == "" or FUNCTIONS[f"is_{name}"].run(None, value)


BASES: dict[str, tuple[str, Test | None, str]] = {
    "str": ("str", None, ""),
    "utf8": ("str", is_utf8, "valid UTF-8"),
    "raw": ("raw", None, ""),
    "bytes": ("bytes", None, ""),
    "bool": ("bool", None, ""),
    "int": ("int", None, ""),
    "uint": ("int", lambda value: value >= 0, "0 or more"),
    "pint": ("int", lambda value: value > 0, "more than 0"),
    "nint": ("int", lambda value: value < 0, "less than 0"),
    "float": ("float", None, ""),
    "number": ("num", None, ""),
    "datetime": ("datetime", None, ""),
    "timeval": ("timeval", None, ""),
    "regex": ("regex", None, ""),
    "closure": ("closure", None, ""),
    "error": ("error", None, ""),
    "room": ("room", None, ""),
    "task": ("task", None, ""),
    "email": ("str", _text_form("email"), "an email address"),
    "url": ("str", _text_form("url"), "a URL"),
    "tel": ("str", _text_form("tel"), "a telephone number"),
    "enum": ("enum", None, ""),
    "thing": ("thing", None, ""),
    "[]": ("array", None, ""),
    "{}": ("set", None, ""),
}
"""By base name: the kind of value that it accepts; which values of them, and how an error says that."""


@dataclass(frozen=True, slots=True, eq=False)
class Restriction:
    """What is accepted. Two that accept the same are equal.

    `subject` is the type or enum, None for a base name. `demanded`: the type of a field demands it of the thing that
    has it, so that the thing can't be given another one.
    """

    name: str
    subject: Type | Enum | None = None
    nilable: bool = False
    demanded: bool = False

    def __eq__(self, other: object) -> bool:
        if type(other) is not Restriction or self.nilable != other.nilable or self.subject is not other.subject:
            return False
        return self.subject is not None or self.name == other.name  # a type may have got another name since

    __hash__ = None  # type: ignore[assignment]

    @property
    def text(self) -> str:
        """How it is written; types and enums by their present names."""
        name = self.name if self.subject is None else self.subject.name
        return f"{name}?" if self.nilable else name

    @property
    def packed(self) -> str:
        """How it stands in the log and on disk: `unpacked` reads it back."""
        return f"{self.text}!" if self.demanded else self.text

    def check(self, value: Value) -> None:
        """TypeError for a wrong kind of value, ValueError for a wrong value of the right kind."""
        if value is None and self.nilable:
            return
        if self.subject is not None:
            if not self._is_of_subject(value):
                raise TypeFailed(f"{self.text} is wanted, not {type_name(value)}")
            return
        kind, test, wanted = BASES[self.name]
        if type(value) not in KINDS.get(kind, ()):
            raise TypeFailed(f"{self.text} is wanted, not {type_name(value)}")
        if test is not None and not test(value):
            raise ValueFailed(f"{self.text} is wanted: {wanted}")

    def _is_of_subject(self, value: Value) -> bool:
        if type(value) is Instance:
            return value.kind is self.subject
        return type(value) in KINDS.get("enum", ()) and value.enum is self.subject

    def fits(self, value: Value) -> bool:
        """Is the value accepted?"""
        try:
            self.check(value)
        except (TypeFailed, ValueFailed):
            return False
        return True

    def check_property(self, value: Value) -> None:
        """TypeError when a thing that has the restriction does not take the value."""
        try:
            self.check(value)
        except ValueFailed as error:
            raise TypeFailed(error.message) from None

    def loosened(self) -> Restriction:
        """The same, for a thing of which no type demands it."""
        return replace(self, demanded=False) if self.demanded else self


def restriction_of(text: str, scope: Scope) -> Restriction | None:
    """The restriction that a text means in a scope; None for `any`, which accepts everything. ValueError when it means
    none."""
    nilable = text.endswith("?")
    name = text[:-1] if nilable else text
    if name == "any":
        return None
    if name in BASES:
        return Restriction(name, None, nilable)
    subject = scope.types.get(name) or scope.enums.get(name)
    if subject is None:
        raise ValueFailed(f"a restriction is the name of a type, of an enum, or one such as int, not {text[:80]!r}")
    return Restriction(name, subject, nilable)


def unpacked(text: str, scope: Scope) -> Restriction:
    """The restriction that `Restriction.packed` wrote."""
    restriction = restriction_of(text.removesuffix("!"), scope)
    assert restriction is not None
    return replace(restriction, demanded=True) if text.endswith("!") else restriction
