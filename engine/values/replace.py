"""`replace`: other text in place of parts of a text (spec/text-and-numbers.md, section 8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from engine.errors import OperationError, OverflowFailed, TypeFailed, ValueFailed
from engine.functions.registry import method, type_name
from engine.limits import INT_MAX, INT_MIN, MAX_TEXT_BYTES
from engine.values.closure import Closure
from engine.values.regex import Regex
from engine.values.text import decoded, encoded, joined

if TYPE_CHECKING:
    from engine.context import Context
    from engine.regex.pcre import Spans
    from engine.values.thing import Value

__all__: list[str] = []

_Span = tuple[int, int]


@method(
    "str",
    "replace",
    "old: str|regex, new: str|closure, limit?: int",
    doc="The text with other text in place of what is found; at most so often, from the end if negative.",
    example="'7 trees, 12 birds'.replace(/[0-9]+/, |number| str(int(number) * 2))",
)
def replace(ctx: Context, text: str, old: str | Regex, new: str | Closure, limit: int = INT_MAX) -> str:
    if limit == INT_MIN:
        raise OverflowFailed("the limit of replace() is too small")
    if limit == 0:
        return text
    if type(old) is Regex:
        if limit < 0:
            raise ValueFailed("replace() of a regex takes no negative limit")
        return _replace_matches(ctx, text, old, new, limit)
    if old == "":
        raise ValueFailed("replace() takes a text to replace that is not empty")
    assert type(old) is str
    if type(new) is str:
        return _replace_text(text, old, new, limit)
    assert type(new) is Closure
    return _replace_by_closure(ctx, text, old, new, limit)


def _replace_text(text: str, old: str, new: str, limit: int) -> str:
    if not (text.isascii() or old.isascii()):
        data, gone, put = encoded(text), encoded(old), encoded(new)
        _check_size(len(data), min(data.count(gone), abs(limit)) * (len(put) - len(gone)))
        return decoded(data.replace(gone, put, limit) if limit > 0 else put.join(data.rsplit(gone, -limit)))
    if len(new) > len(old):
        _check_size(len(text), min(text.count(old), abs(limit)) * (len(new) - len(old)))
    return joined(text.replace(old, new, limit) if limit > 0 else new.join(text.rsplit(old, -limit)))


def _replace_by_closure(ctx: Context, text: str, old: str, new: Closure, limit: int) -> str:
    data, gone = encoded(text), encoded(old)
    found = _occurrences(data, gone, limit) if limit > 0 else _occurrences_from_end(data, gone, -limit)
    made: list[tuple[_Span, bytes]] = []
    size = len(data)
    for start in found:
        put = _result(new.call(ctx, start, start + len(gone), text))
        size += len(put) - len(gone)
        _check_size(size)
        made.append(((start, start + len(gone)), put))
    if limit < 0:
        made.reverse()
    return _assembled(data, made)


def _occurrences(data: bytes, gone: bytes, most: int) -> Iterator[int]:
    start = data.find(gone)
    while start >= 0 and most:
        yield start
        most -= 1
        start = data.find(gone, start + len(gone))


def _occurrences_from_end(data: bytes, gone: bytes, most: int) -> Iterator[int]:
    start = data.rfind(gone)
    while start >= 0 and most:
        yield start
        most -= 1
        start = data.rfind(gone, 0, start)


def _replace_matches(ctx: Context, text: str, old: Regex, new: str | Closure, limit: int) -> str:
    data = encoded(text)
    matches = old.search_all(data, limit)
    if type(new) is str:
        put = encoded(new)
        _check_size(len(data), len(matches) * len(put))
        return _assembled(data, ((spans[0], put) for spans in matches))
    assert type(new) is Closure
    made: list[tuple[_Span, bytes]] = []
    size = len(data)
    for spans in matches:
        put = _result(_call_for_match(ctx, new, text, data, spans))
        size += len(put)
        _check_size(size)
        made.append((spans[0], put))
    return _assembled(data, made)


def _call_for_match(ctx: Context, closure: Closure, text: str, data: bytes, spans: Spans) -> Value:
    (start, end), *groups = spans
    taken = [decoded(data[first:last]) if first >= 0 else "" for first, last in groups]
    return closure.call(ctx, *taken, decoded(data[start:end]), start, end, text)


def _result(value: Value) -> bytes:
    if type(value) is str:
        return encoded(value)
    raise TypeFailed(f"the closure of replace() must give a str, not {type_name(value)}")


def _assembled(data: bytes, made: Iterable[tuple[_Span, bytes]]) -> str:
    parts: list[bytes] = []
    position = 0
    for (start, end), put in made:
        parts += (data[position:start], put)
        position = end
    parts.append(data[position:])
    return decoded(b"".join(parts))


def _check_size(size: int, more: int = 0) -> None:
    if size + more > MAX_TEXT_BYTES:
        raise OperationError(f"a text can be at most {MAX_TEXT_BYTES} bytes long")
