"""Quotas of a collection: limits that an administrator sets (spec/early-api.md, section 4).

They are asked only where `scope.quotas` is not empty. Reaching one raises MaxQuotaError; what is there already stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import MaxQuotaError

if TYPE_CHECKING:
    from engine.scopes import Scope

__all__ = ["QUOTAS", "check_array", "check_new_property", "check_new_thing", "check_raw"]

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


def check_raw(scope: Scope, sent: Any) -> None:
    """A text, or variables, were sent to the scope."""
    limit = scope.quotas.get("raw_size")
    if limit is None:
        return
    stack = [sent]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            stack += value.values()
        elif isinstance(value, list | tuple):
            stack += value
        elif isinstance(value, str | bytes):
            size = len(value.encode("utf-8", "surrogateescape")) if isinstance(value, str) else len(value)
            if size > limit:
                raise MaxQuotaError(f"the quota of {scope.title} is reached: at most {limit} bytes a value")
