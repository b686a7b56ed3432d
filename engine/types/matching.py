"""Which properties of a thing a wrapping type shows (spec/enums-and-wrap.md, section 2.2).

A plain thing is judged by its values, an instance by the definitions of its fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import LanguageError
from engine.types.definition import Definition
from engine.types.enum import Member
from engine.types.loosening import base_of
from engine.types.restriction import Restriction
from engine.values.list import List
from engine.values.set import Set
from engine.values.thing import Thing

if TYPE_CHECKING:
    from engine.values.thing import Value

__all__ = ["definition_matches", "value_matches"]


def value_matches(target: Definition, value: Value, *, by_name: bool = False) -> bool:
    """Does a property of a plain thing match? `by_name`: members of enums count as their names."""
    if target.core == "any":
        return True
    if value is None:
        return target.nilable or target.base == "enum"
    if type(value) is Member and not (target.core == "enum" or target.base == "enum"):
        value = value.name if by_name else value.value
    match target.core:
        case "type":
            return isinstance(value, Thing)
        case "nested":
            if not target.many:
                return isinstance(value, Thing)
            return type(value) is Set or (_is_array(value) and all(isinstance(item, Thing) for item in value))
        case "list":
            return _list_matches(target.item, value, by_name)
        case "set":
            return type(value) is Set
        case "things":
            return type(value) is Thing and target.item is not None and all(map(target.item.fits, value.values()))
    try:
        target.check(value)
    except LanguageError:
        return False
    return True


def _is_array(value: Value) -> bool:
    return type(value) is List or type(value) is tuple


def _list_matches(item: Restriction | None, value: Value, by_name: bool) -> bool:
    is_type = item is not None and _is_type(item)
    if type(value) is Set:
        return item is None or is_type or item.name == "thing"
    if not _is_array(value):
        return False
    if item is None:
        return True
    return all(_item_matches(item, held, is_type, by_name) for held in value)


def _is_type(item: Restriction) -> bool:
    from engine.types.type import Type

    return isinstance(item.subject, Type)


def _item_matches(item: Restriction, held: Value, is_type: bool, by_name: bool) -> bool:
    if held is None:
        return item.nilable
    if is_type:
        return isinstance(held, Thing)
    if type(held) is Member and item.subject is None and item.name != "enum":
        held = held.name if by_name else held.value
    return item.fits(held)


def definition_matches(target: Definition, source: Definition, *, by_name: bool = False) -> bool:
    """Does a field of an instance match?"""
    if target.core == "any":
        return True
    if (source.says_nil or source.core == "any") and not target.says_nil:
        return False
    if source.core == "enum" and not (target.core == "enum" or target.base == "enum"):
        source = _as_value(source, by_name)
    match target.core:
        case "base":
            return _base_matches(target.base, source)
        case "range":
            inside = source.core == "range" and target.low <= source.low and source.high <= target.high
            same = source.base == target.base or (target.base == "str" and source.base == "utf8")
            return bool(inside and same)
        case "pattern":
            return source.core == "pattern" and source.pattern == target.pattern
        case "type":
            return _is_thing(source)
        case "nested":
            if not target.many:
                return _is_thing(source)
            return source.core == "set" or (
                source.core == "list" and source.item is not None and _of_things(source.item)
            )
        case "things":
            return _is_thing(source)
        case "list":
            return _list_definition_matches(target.item, source, by_name)
        case "set":
            return source.core == "set"
        case "enum":
            return source.core == "enum" and source.subject is target.subject
        case "form":
            return source.core == "form" and source.base == target.base
        case "constant":
            return base_of(source) == "bool"
    return False


def _as_value(source: Definition, by_name: bool) -> Definition:
    """A field with members, as a field with their values, or with their names."""
    kind = str if by_name else source.subject.kind
    plain = Definition("base")
    plain.base = {int: "int", float: "float", str: "str", bytes: "bytes"}.get(kind, "thing")
    plain.nilable = source.nilable
    return plain


def _is_thing(source: Definition) -> bool:
    return source.core in ("type", "things", "nested") or source.base == "thing"


def _of_things(item: Restriction) -> bool:
    return item.name == "thing" or _is_type(item)


_TEXTS = frozenset({"str", "utf8", "email", "url", "tel", "pattern"})
_INTS = frozenset({"int", "uint", "pint", "nint"})


def _base_matches(target: str, source: Definition) -> bool:
    base: Any = base_of(source)
    match target:
        case "raw":
            return base in _TEXTS or base in ("raw", "bytes")
        case "str":
            return base in _TEXTS
        case "int":
            return base in _INTS
        case "uint":
            return base in ("uint", "pint") or (source.core == "range" and base == "int" and source.low >= 0)
        case "pint":
            return base == "pint" or (source.core == "range" and base == "int" and source.low > 0)
        case "nint":
            return base == "nint" or (source.core == "range" and base == "int" and source.high < 0)
        case "number":
            return base in _INTS or base in ("float", "number")
        case "thing":
            return _is_thing(source)
        case "enum":
            return base == "enum" or source.core == "enum"
    return bool(base == target) and source.core != "form"


def _list_definition_matches(item: Restriction | None, source: Definition, by_name: bool) -> bool:
    if source.core == "set":
        return item is None or _of_things(item)
    if source.core != "list":
        return False
    if item is None:
        return True
    held = source.item
    if held is None or (held.nilable and not item.nilable):
        return False
    if _of_things(item):
        return _of_things(held)
    if item.subject is not None:
        return held.subject is item.subject
    plain = Definition("base")
    plain.base = held.name
    if held.subject is not None:
        plain = Definition("enum")
        plain.subject = held.subject
        if item.name != "enum":
            plain = _as_value(plain, by_name)
    return _base_matches(item.name, plain)
