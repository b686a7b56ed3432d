"""Values in order: `sort`, `min` and `max` (spec/lists.md, section 7).

Values are ordered as by the operator `<`; members of an enum by their values. Python's own comparison does the work
where it agrees with the language's, which is nearly always.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

from engine.errors import TypeFailed
from engine.functions.registry import KINDS, type_name
from engine.language.operators import NUMBERS, ORDERED, TEXTS, less
from engine.values.text import encoded

if TYPE_CHECKING:
    from engine.values.thing import Value

__all__ = ["EXACT", "keys"]

EXACT = 2**53
"""Up to here every int is a float too, so that comparing an int with a float as floats loses nothing."""


def keys(values: Sequence[Value]) -> Sequence[Any]:
    """What Python has to compare instead of the values, one for each of them.

    TypeError where two of the values have no order; one value alone need not have one.
    """
    kinds = set(map(type, values))
    if kinds <= NUMBERS:
        if float not in kinds or all(-EXACT <= value <= EXACT for value in values if type(value) is not float):
            return values
        return [_compared(value) for value in values]
    if kinds <= TEXTS:
        if bytes not in kinds and all(map(str.isascii, values)):
            return values
        return [encoded(value) if type(value) is str else value for value in values]
    if len(values) < 2:
        return values
    if kinds <= KINDS.get("enum", frozenset()):
        return keys([member.value for member in values])
    first = ORDERED.get(type(values[0]))
    if first is None or not kinds <= first[0]:
        kind = next((kind for kind in map(type, values) if kind not in _ORDERLY and kind not in ORDERED), None)
        _refuse(values, kind)
    return [ORDERED[type(value)][1](value) for value in values]


_ORDERLY = NUMBERS | TEXTS


def _refuse(values: Sequence[Value], kind: type | None) -> None:
    if kind is not None:
        culprit = next(value for value in values if type(value) is kind)
        raise TypeFailed(f"a value of type {type_name(culprit)} can't be compared")
    names = dict.fromkeys(map(type_name, values))
    raise TypeFailed(f"values of the types {' and '.join(names)} can't be compared with one another")


def _compare(left: Value, right: Value) -> int:
    return -1 if less(left, right) else int(less(right, left))


_compared = cmp_to_key(_compare)
