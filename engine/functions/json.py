"""JSON (spec/text-and-numbers.md, section 12)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NoReturn

from engine.errors import LookupFailed, OperationError, TypeFailed, ValueFailed
from engine.functions.registry import function, type_name
from engine.language.runtime import checked_deep
from engine.limits import INT_MAX, INT_MIN, MAX_TEXT_BYTES
from engine.names import check_key
from engine.quota import check_array, check_new_thing
from engine.result import Result
from engine.values.storing import nested_items, own
from engine.values.text import is_utf8
from engine.values.thing import SortedProperties, Thing

if TYPE_CHECKING:
    from engine.context import Context
    from engine.snapshot import Tree
    from engine.values.thing import Value

__all__: list[str] = []

MAX_JSON_NESTING: Final = 127


# --- values to JSON ------------------------------------------------------------------------------------------------


@function(
    "json_dump",
    "value: any, options?: thing",
    doc="A value as JSON; the options are deep, flags and beautify.",
    example="json_dump({name: 'Mars', moons: 2}, {beautify: true})",
)
def json_dump(ctx: Context, value: Value, options: Thing | None = None) -> str:
    deep, flags, beautify = ctx.deep, 0, False
    if options is not None:
        for name, option in options.items():
            if name == "deep":
                deep = checked_deep(option)
            elif name == "flags":
                if type(option) is not int:
                    raise TypeFailed(f"the option flags is an int, not {type_name(option)}")
                flags = option
            elif name == "beautify":
                beautify = bool(option)
            else:
                raise LookupFailed(f"json_dump() has the options deep, flags and beautify, not {name[:80]!r}")
    tree = Result(ctx, flags, ctx.engine.max_result_bytes).show(value, deep)
    parts: list[str] = []
    if beautify:
        _write_laid_out(tree, parts.append, 0)
        parts.append("\n")
    else:
        _write(tree, parts.append, 0)
    text = "".join(parts)
    if len(text) > MAX_TEXT_BYTES:
        raise OperationError(f"a text can be at most {MAX_TEXT_BYTES} bytes long")
    return text


_has_special = re.compile(r'["\\\x00-\x1f]').search
_ESCAPES: Final = {code: f"\\u{code:04X}" for code in range(0x20)} | {
    ord(character): "\\" + letter for character, letter in zip('"\\\b\f\n\r\t', '"\\bfnrt', strict=True)
}


def _json_str(text: str) -> str:
    if _has_special(text) is not None:
        text = text.translate(_ESCAPES)
    return f'"{text}"'


def _json_float(value: float) -> str:
    if not math.isfinite(value):
        raise TypeFailed(f"{value} has no form in JSON")
    text = f"{value:.20g}"
    return text if "." in text or "e" in text else text + ".0"


def _no_json(value: bytes) -> NoReturn:
    raise TypeFailed("bytes have no form in JSON")


_SCALARS: Final[dict[type, Callable[[Any], str]]] = {
    str: _json_str,
    int: str,
    float: _json_float,
    bool: lambda value: "true" if value else "false",
    type(None): lambda value: "null",
    bytes: _no_json,
}


def _check_nesting(depth: int) -> None:
    if depth >= MAX_JSON_NESTING:
        raise OperationError(f"JSON can be nested at most {MAX_JSON_NESTING} deep")


def _write(tree: Tree, write: Callable[[str], None], depth: int) -> None:
    scalar = _SCALARS.get(type(tree))
    if scalar is not None:
        write(scalar(tree))
        return
    _check_nesting(depth)
    if isinstance(tree, dict):
        separator = "{"
        for key, value in tree.items():
            write(f"{separator}{_json_str(key)}:")
            separator = ","
            _write(value, write, depth + 1)
        write("{}" if separator == "{" else "}")
        return
    separator = "["
    for item in tree:
        write(separator)
        separator = ","
        _write(item, write, depth + 1)
    write("[]" if separator == "[" else "]")


def _write_laid_out(tree: Tree, write: Callable[[str], None], depth: int) -> None:
    scalar = _SCALARS.get(type(tree))
    if scalar is not None:
        write(scalar(tree))
        return
    _check_nesting(depth)
    indent = "    " * depth
    begin, end = "{}" if isinstance(tree, dict) else "[]"
    write(f"{begin}\n")
    separator = ""
    for key, item in _entries(tree):
        write(f"{separator}{indent}    {key}")
        separator = ",\n"
        _write_laid_out(item, write, depth + 1)
    write(f"\n{indent}{end}")


def _entries(tree: Tree) -> Iterator[tuple[str, Tree]]:
    if isinstance(tree, dict):
        return ((f"{_json_str(key)}: ", value) for key, value in tree.items())
    return (("", item) for item in tree)


# --- JSON to values ------------------------------------------------------------------------------------------------


@function(
    "json_load",
    "text: str",
    doc="The value of a JSON text: objects become things, arrays lists.",
    example="""json_load('{"name": "Mars", "moons": [1, 2]}')""",
)
def json_load(ctx: Context, text: str) -> Value:
    if not is_utf8(text):
        raise ValueFailed("json_load() takes a text that is valid UTF-8")
    stripped = text.strip(" \t\n\r")
    if not stripped:
        return None
    try:
        tree = _decode(stripped)
    except json.JSONDecodeError as error:
        raise ValueFailed(f"json_load() takes valid JSON: {_where(stripped, error.pos)}") from None
    except RecursionError:
        raise OperationError(f"JSON can be nested at most {MAX_JSON_NESTING} deep") from None
    return _value(ctx, tree, 0)


def _where(text: str, position: int) -> str:
    rest = text[position : position + 20]
    return f"this goes wrong at {rest!r}" if rest else "this breaks off"


def _int(digits: str) -> int:
    if len(digits) <= 20 and INT_MIN <= (value := int(digits)) <= INT_MAX:
        return value
    raise ValueFailed(f"the int {digits[:40]} does not fit into 64 bits")


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueFailed(f"the number {digits[:40]} is too large for a float")
    return value + 0.0


def _constant(name: str) -> NoReturn:
    raise ValueFailed(f"json_load() takes valid JSON: {name} is not")


_decode = json.JSONDecoder(parse_int=_int, parse_float=_float, parse_constant=_constant).decode


def _value(ctx: Context, tree: Tree, depth: int) -> Value:
    kind = type(tree)
    if kind is str:
        return _checked_text(tree)
    if kind is not dict and kind is not list:
        return tree
    _check_nesting(depth)
    if kind is list:
        if ctx.scope.quotas:
            check_array(ctx.scope, len(tree))
        return nested_items([_value(ctx, item, depth + 1) for item in tree])
    if ctx.scope.quotas:
        check_new_thing(ctx.scope, len(tree))
    for key in tree:
        check_key(key)
    thing = Thing(SortedProperties())
    for key, item in tree.items():
        thing.props[key] = own(_value(ctx, item, depth + 1), thing, key)
    return thing


def _checked_text(text: str) -> str:
    """The text, unless it was written with half of a surrogate pair."""
    if is_utf8(text):
        return text
    raise ValueFailed("a JSON text must not have half of a surrogate pair")
