"""`export` and `import`: a collection as code that rebuilds it, or as a dump of everything in it
(spec/enums-and-wrap.md, section 6).

A dump is one MessagePack array, as clients expect that tell it from code by its first byte: a text that names it, a
CRC-32 of the rest (always in 4 bytes), and the rows that the state on disk would have for the collection
(`engine.state`).
"""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

import msgpack

from engine.effects import Renewed
from engine.encoding import log_unpack
from engine.errors import BadDataError, OperationError, TypeFailed, ValueFailed
from engine.functions.registry import function, type_name
from engine.replay import Replay, replays
from engine.state import pack_collection, unpack_collection
from engine.types.definition import Definition
from engine.types.enum import Member
from engine.values.closure import Closure
from engine.values.list import List
from engine.values.regex import Regex
from engine.values.set import Set
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.collection import Collection
    from engine.context import Context
    from engine.types.type import Type
    from engine.values.thing import Value

__all__: list[str] = []

MAGIC: bytes = b"\x93" + msgpack.packb("livethings dump 1") + b"\xce"
"""The array of three, its first item, and the mark of an int in 4 bytes, which follow."""
MAX_TABS = 4


def _options(name: str, options: Thing | None, known: str) -> bool:
    """The one option, a bool, that a function knows."""
    if options is None:
        return False
    given = False
    for key, value in options.items():
        if key != known:
            raise ValueFailed(f"{name}() has no option {key[:80]}")
        if type(value) is not bool:
            raise TypeFailed(f"the option {known} is a bool, not {type_name(value)}")
        given = value
    return given


@function(
    "export",
    "options?: thing",
    scopes="C",
    doc="Code that rebuilds the collection's types, enums and procedures; with the option dump everything, as bytes.",
    example="export()",
)
def export(ctx: Context, options: Thing | None = None) -> str | bytes:
    dump = _options("export", options, "dump")
    if ctx.change is not None or ctx.futures:
        raise OperationError("export() works in a query without a change or a future only")
    home: Collection = ctx.scope  # type: ignore[assignment]
    if not dump:
        return _Code(home).text()
    packed: bytes = msgpack.packb(pack_collection(home), unicode_errors="surrogateescape")
    return MAGIC + zlib.crc32(packed).to_bytes(4, "big") + packed


@function(
    "import",
    "data: bytes, options?: thing",
    scopes="C",
    changes="C",
    final=True,
    doc="Fills an empty collection with what a dump holds.",
    example="import(dump)",
)
def import_(ctx: Context, data: bytes, options: Thing | None = None) -> None:
    tasks = _options("import", options, "import_tasks")
    home: Collection = ctx.scope  # type: ignore[assignment]
    if home.root.props or len(home.index) > 1 or home.types or home.enums or home.procedures or home.tasks:
        raise OperationError("only an empty collection can import a dump")
    if not data.startswith(MAGIC):
        raise ValueFailed("the data is no dump that export() made")
    packed = data[len(MAGIC) + 4 :]
    if zlib.crc32(packed) != int.from_bytes(data[len(MAGIC) : len(MAGIC) + 4], "big"):
        raise BadDataError("the dump is damaged: its checksum is wrong")
    owner = ctx.caller.user.id if ctx.caller.user is not None else 0
    job = {"data": packed, "first_id": ctx.engine.next_id, "tasks": tasks, "owner": owner}
    _load(ctx.engine, home, job)
    home.record_internal(home.root.id, {"import": job})
    assert ctx.change is not None
    ctx.say(Renewed(home.root.id, home.initial_event(home.root, ctx.change.id - 1), home.noted))


def _load(engine: Any, home: Collection, job: dict[str, Any]) -> None:
    try:
        tree = log_unpack(job["data"])
        unpack_collection(engine, home, tree, job["first_id"], tasks=job["tasks"], owner=job["owner"])
    except (ValueError, KeyError, TypeError, msgpack.UnpackException) as error:
        raise BadDataError(f"the dump is damaged: {error}") from None


@replays("import")
def _import(replay: Replay, _: Any, job: dict[str, Any]) -> None:
    _load(replay.engine, replay.home, job)


# --- code ------------------------------------------------------------------------------------------------------------


class _Code:
    """The code that rebuilds the definitions of a collection."""

    def __init__(self, home: Collection) -> None:
        self.home = home
        self.types = [home.types[name] for name in sorted(home.types)]
        self.enums = [home.enums[name] for name in sorted(home.enums)]

    def text(self) -> str:
        blocks: list[Iterable[str]] = [
            [f"try(commit('Source: collection `{self.home.name}`'));"],
            [f"new_type('{type_.name}'{self._flags(type_)});" for type_ in self.types],
            [self._enum(enum) for enum in self.enums],
            [self._type(type_) for type_ in self.types if type_.fields or type_.methods or type_.id_name],
            self._relations(),
            [
                f"mod_enum('{enum.name}', 'mod', '{member.name}', {self._thing(member.value, 0)});\n"
                for enum in self.enums
                for member in enum.members.values()
                if isinstance(member.value, Thing)
            ],
            [
                f"new_procedure('{name}', {self.home.procedures[name].closure.code.pretty});"
                for name in sorted(self.home.procedures)
            ],
        ]
        parts = ["".join(f"{line}\n" for line in block) + "\n" for block in blocks]
        if type(self.home.root) is Instance:
            parts.append(f"\n.to_type('{self.home.root.kind.name}');\n")
        return "".join(parts) + "\n'DONE';\n"

    @staticmethod
    def _flags(type_: Type) -> str:
        words = [
            word for word, on in (("WPO", type_.wrap_only), ("HID", type_.hide_id), ("IDX", type_.auto_index)) if on
        ]
        return ", " + "|".join(words) if words else ""

    def _enum(self, enum: Any) -> str:
        lines = [f"\t{member.name}: {self._member_value(member.value)},\n" for member in enum.members.values()]
        lines += [f"\t{name}: {_indented(closure, 1)},\n" for name, closure in enum.methods.items()]
        return f"set_enum('{enum.name}', {{\n{''.join(lines)}}});"

    @staticmethod
    def _member_value(value: Value) -> str:
        if isinstance(value, Thing):
            return "{}"
        if isinstance(value, bytes):
            return f"base64_decode('{base64.b64encode(value).decode()}')"
        return _scalar(value)

    def _type(self, type_: Type) -> str:
        return f"set_type('{type_.name}', {{\n{_fields(type_, 1)}}});"

    def _relations(self) -> list[str]:
        lines = []
        for type_ in self.types:
            for name, relation in type_.relations.items():
                here, there = (type_.id, list(type_.fields).index(name)), relation.other
                other = (there.id, list(there.fields).index(relation.other_field))
                if here <= other:
                    lines.append(f"mod_type('{type_.name}', 'rel', '{name}', '{relation.other_field}');")
        return lines

    # --- values of things ---

    def _thing(self, thing: Thing, tabs: int) -> str:
        name = thing.kind.name if type(thing) is Instance else ""
        if not thing.props:
            return name + "{}"
        if tabs >= MAX_TABS:
            return "{} /* WARN: max deep reached */"
        indent = "\t" * (tabs + 1)
        lines = []
        for key, value in thing.items():
            lines.append(f"{indent}{key}: {self._value(value, tabs + 1)},\n")
        return f"{name}{{\n{''.join(lines)}{indent[1:]}}}"

    def _value(self, value: Value, tabs: int) -> str:
        if isinstance(value, Thing):
            return self._thing(value, tabs)
        if type(value) in (List, tuple):
            return self._items(value, tabs, "[", "]")
        if type(value) is Set:
            return self._items(value.items, tabs, "set(", ")")
        if type(value) is Member:
            return f"{value.enum.name}{{{value.name}}}"
        if type(value) is Closure:
            return _indented(value, tabs)
        if type(value) is Regex:
            return str(value)
        if type_name(value) == "datetime":
            return f"datetime({value.seconds})"
        if type_name(value) == "timeval":
            return f"timeval({value.seconds})"
        if value is None or type(value) in (bool, int, float, str):
            return _scalar(value)
        return f"{_EMPTY.get(type_name(value).strip('<>'), '{}.wrap()')} /* WARN: not exported */"

    def _items(self, items: Iterable[Value], tabs: int, opening: str, closing: str) -> str:
        indent = "\t" * (tabs + 1)
        lines = [f"{indent}{self._value(item, tabs + 1)},\n" for item in items]
        return f"{opening}\n{''.join(lines)}{indent[1:]}{closing}" if lines else opening + closing


_EMPTY = {
    "bytes": "bytes()",
    "room": "room()",
    "task": "task()",
    "error": "error()",
    "anonymous": "&{}.wrap()",
}


def _scalar(value: Value) -> str:
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:f}"
    if isinstance(value, str):
        if "'" not in value:
            return f"'{value}'"
        if '"' not in value:
            return f'"{value}"'
        return "'" + value.replace("'", "''") + "'"
    return str(value)


def _indented(closure: Closure, tabs: int) -> str:
    return closure.code.pretty.replace("\n", "\n" + "\t" * tabs)


def _fields(type_: Type, tabs: int) -> str:
    indent = "\t" * tabs
    lines = [] if type_.id_name is None else [f"{indent}{type_.id_name}: '#',\n"]
    lines += [f"{indent}{name}: {_definition(definition, tabs)},\n" for name, definition in type_.fields.items()]
    lines += [f"{indent}{name}: {_indented(closure, tabs)},\n" for name, closure in type_.methods.items()]
    return "".join(lines)


def _definition(definition: Definition, tabs: int) -> str:
    if definition.inner is None:
        return "'" + definition.text.replace("'", "''") + "'"
    body = f"{{\n{_fields(definition.inner, tabs + 1)}" + "\t" * tabs + "}"
    return f"[{body}]" if definition.many else body
