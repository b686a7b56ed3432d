"""Values that clients send: variables and arguments (spec/language.md, section 8; spec/admin-and-protocol.md,
section 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import BadDataError, EngineError, OverflowFailed, TypeFailed, ValueFailed
from engine.limits import INT_MAX, INT_MIN, MAX_VALUE_NESTING
from engine.names import check_key, is_name
from engine.values.list import List
from engine.values.storing import own
from engine.values.thing import SortedProperties, Thing

if TYPE_CHECKING:
    from engine.values.thing import Value

__all__ = ["incoming", "variables"]


def variables(sent: Any) -> dict[str, Value]:
    """The variables of a request, from the decoded map; anything but a map counts as none, but for an EngineError:
    what the server could not decode, raised here.

    ValueError for a name that is none; what `incoming` raises for a value.
    """
    if type(sent) is not dict:
        if isinstance(sent, EngineError):
            raise sent
        return {}
    for name in sent:
        if type(name) is not str or not is_name(name):
            raise ValueFailed(f"a variable can't have the name {str(name)[:80]!r}: it must follow the name rule")
    return {name: incoming(value) for name, value in sent.items()}


def incoming(value: Any, depth: int = 0) -> Value:
    """A decoded MessagePack or JSON value as a value of the language: maps become things, arrays lists."""
    kind = type(value)
    if kind is str or kind is bool or value is None or kind is bytes:
        return value
    if kind is int:
        if INT_MIN <= value <= INT_MAX:
            return value
        raise OverflowFailed("an int that was sent does not fit into 64 bits")
    if kind is float:
        return value + 0.0
    if depth >= MAX_VALUE_NESTING:
        raise BadDataError(f"values can be nested at most {MAX_VALUE_NESTING} deep")
    if kind is list or kind is tuple:
        items = [incoming(item, depth + 1) for item in value]
        return List([tuple(item) if type(item) is List else item for item in items])
    if kind is dict:
        return _thing(value, depth)
    raise BadDataError(f"a value of MessagePack's type {kind.__name__} can't be sent")


def _thing(sent: dict[Any, Any], depth: int) -> Thing:
    names_only = True
    for key in sent:
        if type(key) is not str:
            raise TypeFailed("the keys of a map that is sent must be str")
        if not is_name(key):
            check_key(key)
            names_only = False
    thing = Thing({} if names_only else SortedProperties())
    for key, value in sent.items():
        thing.props[key] = own(incoming(value, depth + 1), thing, key)
    return thing
