"""`split`: a text in parts (spec/text-and-numbers.md, section 8)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.errors import NumArgumentsError, OperationError, OverflowFailed, ValueFailed
from engine.functions.registry import METHODS, method
from engine.limits import INT_MIN, MAX_ARRAY_ITEMS
from engine.quota import check_array
from engine.values.list import List
from engine.values.regex import Regex
from engine.values.text import decoded, encoded

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__: list[str] = []

_white_space = re.compile(r"[ \t\n\v\f\r]+")


@method(
    "str",
    "split",
    "separator?: str|regex|int, limit?: lazy int",
    doc="The parts between separators, or between white space; at most so many splits, from the end if negative.",
    example="'one, two, three'.split(', ', 1)",
)
def split(
    ctx: Context, text: str, separator: str | Regex | int | None = None, limit: Callable[[], Value] | None = None
) -> List:
    if limit is not None and type(separator) is int:
        raise NumArgumentsError("split() takes no argument after a limit")
    if separator == "":
        raise ValueFailed("split() takes a separator that is not empty")
    most: int | None = METHODS["split"][str].check_lazy(1, limit) if limit is not None else None
    if type(separator) is Regex:
        parts = _split_by_regex(text, separator, most)
    elif type(separator) is str:
        parts = _split_by_text(text, separator, _checked(most))
    else:
        parts = _split_by_white_space(text, _checked(separator))  # type: ignore[arg-type]
    if ctx.scope.quotas:
        check_array(ctx.scope, len(parts))
    return List(parts)


def _checked(limit: int | None) -> int | None:
    if limit == INT_MIN:
        raise OverflowFailed("the limit of split() is too small")
    return limit


def _split_by_white_space(text: str, limit: int | None) -> list[str]:
    if limit is None or limit > 0:
        if len(text) > MAX_ARRAY_ITEMS and limit is None:
            limit = MAX_ARRAY_ITEMS
        return _bounded(_white_space.split(text, limit or 0))
    if limit == 0:
        return [text]
    parts: list[str] = []
    start = 0
    gaps = deque((gap.span() for gap in _white_space.finditer(text)), min(-limit, MAX_ARRAY_ITEMS))
    for first, last in gaps:
        parts.append(text[start:first])
        start = last
    parts.append(text[start:])
    return _bounded(parts)


def _split_by_text(text: str, separator: str, limit: int | None) -> list[str]:
    if limit is None:
        limit = MAX_ARRAY_ITEMS
    most = min(abs(limit), MAX_ARRAY_ITEMS)
    if separator.isascii() or text.isascii():
        return _bounded(text.split(separator, most) if limit >= 0 else text.rsplit(separator, most))
    data, apart = encoded(text), encoded(separator)
    return _bounded([decoded(part) for part in (data.split(apart, most) if limit >= 0 else data.rsplit(apart, most))])


def _split_by_regex(text: str, separator: Regex, limit: int | None) -> list[str]:
    if limit is not None and limit < 0:
        raise ValueFailed("split() by a regex takes no negative limit")
    data = encoded(text)
    parts: list[str] = []
    position = 0
    for (start, end), *groups in separator.search_all(data, MAX_ARRAY_ITEMS if limit is None else limit):
        parts.append(decoded(data[position:start]))
        for first, last in groups:
            parts.append(decoded(data[first:last]) if first >= 0 else "")
        position = end
    parts.append(decoded(data[position:]))
    return _bounded(parts)


def _bounded(parts: list[str]) -> list[str]:
    if len(parts) > MAX_ARRAY_ITEMS:
        raise OperationError(f"a list can have at most {MAX_ARRAY_ITEMS} items")
    return parts
