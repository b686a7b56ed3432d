"""Which definitions accept everything that another one accepts (spec/types.md, section 5; spec/enums-and-wrap.md,
section 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.types.definition import Definition
    from engine.types.restriction import Restriction

__all__ = ["base_of", "fits_item", "loosens"]

_TEXTS = frozenset({"str", "utf8", "email", "url", "tel"})
_INTS = frozenset({"int", "uint", "pint", "nint"})


def base_of(definition: Definition) -> str:
    """The base name that the values of a definition have: `str` for a pattern, and so on; empty for others."""
    match definition.core:
        case "base" | "range" | "form" | "constant":
            return definition.base
        case "pattern":
            return "pattern"
    return ""


def loosens(new: Definition, old: Definition) -> bool:
    """Does every value that fits the old definition fit the new one?"""
    if new.core == "any":
        return True
    if old.core == "any":
        return False
    new_takes_nil = new.nilable or new.base == "enum"
    if (old.nilable or old.base == "enum") and not new_takes_nil:
        return False
    return _core_loosens(new, old)


def _core_loosens(new: Definition, old: Definition) -> bool:
    match new.core:
        case "base":
            return _base_loosens(new.base, old)
        case "range":
            same = old.base == new.base or (new.base == "str" and old.base == "utf8")
            return old.core == "range" and same and bool(new.low <= old.low and old.high <= new.high)
        case "pattern" | "form":
            return False
        case "constant":
            return base_of(old) == "bool"
        case "list" | "set" | "things":
            return old.core == new.core and fits_item(new.item, old.item)
        case "type":
            return old.core == "type" and old.subject is new.subject
        case "enum":
            return old.core == "enum" and old.subject is new.subject
    return False


def _base_loosens(new: str, old: Definition) -> bool:
    base = base_of(old)
    texts = base in _TEXTS or base == "pattern"
    match new:
        case "raw":
            return texts or base in ("raw", "bytes")
        case "str":
            return texts
        case "utf8":
            return base == "utf8"
        case "int":
            return base in _INTS
        case "uint":
            return base in ("uint", "pint") or (old.core == "range" and base == "int" and old.low >= 0)
        case "pint":
            return base == "pint" or (old.core == "range" and base == "int" and old.low > 0)
        case "nint":
            return base == "nint" or (old.core == "range" and base == "int" and old.high < 0)
        case "float":
            return base == "float"
        case "number":
            return base in _INTS or base in ("float", "number")
        case "bool":
            return base == "bool"
        case "thing":
            return base == "thing" or old.core in ("things", "type")
        case "enum":
            return base == "enum" or old.core == "enum"
    return old.core == "base" and base == new


def fits_item(new: Restriction | None, old: Restriction | None) -> bool:
    """The same for what lists, sets and restricted things hold."""
    if new is None:
        return True
    if old is None or (old.nilable and not new.nilable):
        return False
    if new.subject is not None:
        return old.subject is new.subject
    if old.subject is not None:
        from engine.types.enum import Enum

        return new.name == ("enum" if isinstance(old.subject, Enum) else "")
    if new.name == "thing":
        return False  # not even from itself, as recorded
    return _name_loosens(new.name, old.name)


def _name_loosens(new: str, old: str) -> bool:
    from engine.types.definition import Definition

    plain = Definition("base")
    plain.base = old
    return _base_loosens(new, plain)
