"""Quotas of a collection: limits that an administrator sets (spec/early-api.md, section 4).

They are asked only where `scope.quotas` is not empty. Reaching one raises MaxQuotaError; what is there already stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from engine.errors import MaxQuotaError

if TYPE_CHECKING:
    from engine.scopes import Scope

__all__ = [
    "QUOTAS",
    "check_array",
    "check_items",
    "check_new_property",
    "check_new_thing",
    "check_sent",
    "check_stored",
]

QUOTAS = ("things", "properties", "array_size", "raw_size")


def check_new_thing(scope: Scope, properties: int) -> None:
    """A thing with so many properties is about to be made in the scope."""
    limit = scope.quotas.get("things")
    if limit is not None and len(scope.index) >= limit:
        raise MaxQuotaError(f"the quota of {scope.title} is reached: at most {limit} things")
    limit = scope.quotas.get("properties")
    if limit is not None and properties > limit:
        raise MaxQuotaError(f"the quota of {scope.title} is reached: at most {limit} properties a thing")


def check_new_property(scope: Scope, properties: int) -> None:
    """A thing that has so many properties is about to get another one."""
    limit = scope.quotas.get("properties")
    if limit is not None and properties >= limit:
        raise MaxQuotaError(f"the quota of {scope.title} is reached: at most {limit} properties a thing")


def check_array(scope: Scope, length: int) -> None:
    """An array is about to grow to the length."""
    limit = scope.quotas.get("array_size")
    if limit is not None and length > limit:
        raise MaxQuotaError(f"the quota of {scope.title} is reached: at most {limit} items an array")


def check_stored(scope: Scope, value: Any, old: Any = None) -> None:
    """A value is about to be stored, in the place of another one: arrays that a query made may be too long for that,
    also within arrays. One that is no longer than the old one may stay."""
    if "array_size" in scope.quotas and isinstance(value, list | tuple):
        if not (isinstance(old, list | tuple) and len(old) >= len(value)):
            check_array(scope, len(value))
        check_items(scope, value)


def check_items(scope: Scope, items: Iterable[Any]) -> None:
    """Values are about to become items of an array: arrays among them may be too long for that."""
    if "array_size" not in scope.quotas:
        return
    stack = [item for item in items if isinstance(item, list | tuple)]
    while stack:
        inner = stack.pop()
        check_array(scope, len(inner))
        stack += [item for item in inner if isinstance(item, list | tuple)]


def check_sent(scope: Scope, code: str, values: Any) -> None:
    """A request was sent to the scope: the text of a query, and its variables or arguments in a map or list, where
    every map is to become a thing."""
    limit = scope.quotas.get("raw_size")
    stack: list[Any] = [code]
    stack += values.values() if isinstance(values, dict) else values if isinstance(values, list | tuple) else ()
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            check_new_thing(scope, 0)
            stack += value.values()
        elif isinstance(value, list | tuple):
            stack += value
        elif limit is not None and isinstance(value, str | bytes):
            size = len(value.encode("utf-8", "surrogateescape")) if isinstance(value, str) else len(value)
            if size > limit:
                raise MaxQuotaError(f"the quota of {scope.title} is reached: at most {limit} bytes a value")
