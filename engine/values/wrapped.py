"""Wrapped things: a thing seen through a type (spec/enums-and-wrap.md, section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import LanguageError, LookupFailed, NumArgumentsError, OperationError, TypeFailed
from engine.functions.registry import method, register_kind, type_name
from engine.language.callees import FALLBACKS, ClosureCall
from engine.language.runtime import checked_deep
from engine.replay import Replay, unpacks
from engine.result import Result, shows
from engine.snapshot import PACK, Tree, packs
from engine.types.anonymous import AnonymousType
from engine.types.definition import Definition
from engine.types.enum import Member
from engine.types.matching import definition_matches, value_matches
from engine.types.type import Type
from engine.values.as_text import TEXT
from engine.values.copying import COPIES, Copying, copied
from engine.values.equality import EQUAL
from engine.values.incoming import incoming
from engine.values.list import List
from engine.values.set import Set
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.context import Context
    from engine.values.closure import Closure
    from engine.values.thing import Value

__all__ = ["Wrapped", "emit"]


class Wrapped:
    """A view of a thing. A type that is deleted is looked for by its id, which its name keeps."""

    __slots__ = ("_type", "thing")

    def __init__(self, thing: Thing, type_: Type | AnonymousType) -> None:
        self.thing = thing
        self._type = type_

    @property
    def type(self) -> Type | None:
        """The type that it is wrapped by; None while it is deleted."""
        known = self._type
        if isinstance(known, AnonymousType):
            return known.type
        home = known.home
        assert home is not None
        if home.types.get(known.name) is known:
            return known
        for type_ in home.types.values():
            if type_.id == known.id:
                self._type = type_
                return type_
        return None

    @property
    def anonymous(self) -> AnonymousType | None:
        return self._type if isinstance(self._type, AnonymousType) else None

    @property
    def type_id(self) -> int:
        return -1 if isinstance(self._type, AnonymousType) else self._type.id

    @property
    def name(self) -> str:
        """What `type()` gives."""
        if self.anonymous is not None:
            return "<<anonymous>>"
        type_ = self.type
        return f"<{type_.name}>" if type_ is not None else "<thing>"

    def __bool__(self) -> bool:
        return bool(self.thing)


register_kind("wrapped", Wrapped, names=lambda value: value.name)
TEXT[Wrapped] = lambda value: f"{value.name}:{value.thing.id or 'nil'}"


def _equal(left: Wrapped, right: Any) -> bool:
    if type(right) is not Wrapped or left.thing is not right.thing:
        return False
    if left.anonymous is not None or right.anonymous is not None:
        return left.anonymous == right.anonymous
    return left.type_id == right.type_id


EQUAL[Wrapped] = _equal


# --- what a result shows ---------------------------------------------------------------------------------------------


@shows(Wrapped)
def _show(value: Wrapped, made: Result, deep: int) -> Tree:
    type_ = value.type
    if type_ is None:
        return made.show(value.thing, deep)
    return emit(value.thing, type_, made, deep, direct=True)


def emit(thing: Thing, type_: Type, made: Result, deep: int, *, direct: bool = False) -> Tree:
    """A thing as a type shows it. `direct`: the wrap itself is shown, not a field defined by the type."""
    made.enter(thing, deep, type_)
    key = type_.id_name or "#"
    if id(thing) in made.path:
        return made.id_only(thing.id, key)
    if deep <= 0:
        return made.id_only(thing.id, "#" if direct else key)
    tree: dict[str, Tree] = {}
    if thing.id and not made.no_ids and not type_.hide_id:
        tree[key] = thing.id
        made.size += 12
    made.path.add(id(thing))
    for name, target in type_.fields.items():
        if thing.has(name) and _is_shown(thing, name, target):
            made.size += len(name) + 2
            tree[name] = _field(thing.get(name), target, made, deep)
    for name, closure in type_.methods.items():
        tree[name] = _computed(thing, closure, made)
    made.path.discard(id(thing))
    return tree


def _is_shown(thing: Thing, name: str, target: Definition) -> bool:
    value = thing.get(name)
    if ("?" in target.flags and value is None) or ("!" in target.flags and not value):
        return False
    by_name = "*" in target.flags
    if type(thing) is Instance:
        return definition_matches(target, thing.kind.fields[name], by_name=by_name)
    return value_matches(target, value, by_name=by_name)


def _field(value: Value, target: Definition, made: Result, deep: int) -> Tree:
    flags = target.flags
    deeper = "&" in flags or target.core == "nested"
    level = 126 if "+" in flags else 0 if "-" in flags else deep - 1
    if deeper:
        level += 1
    hidden = made.no_ids
    if "^" in flags:
        made.no_ids = True
    try:
        return _by_definition(value, target, made, min(level, 127))
    finally:
        made.no_ids = hidden


def _by_definition(value: Value, target: Definition, made: Result, deep: int) -> Tree:
    """A value as a definition shows it."""
    by_name = "*" in target.flags
    if type(value) is Member:
        if by_name:
            return value.name
        value = value.value
    if type(value) is Wrapped:
        if value.anonymous is not None:
            return emit(value.thing, value.anonymous.type, made, deep, direct=True)
        value = value.thing
    wrapping = _wrapping(target)
    if isinstance(value, Thing):
        return emit(value, wrapping, made, deep) if wrapping is not None else made.show(value, deep)
    if type(value) is List or type(value) is tuple or type(value) is Set:
        return [_item(item, wrapping, by_name, made, deep) for item in value]
    return made.show(value, deep)


def _wrapping(target: Definition) -> Type | None:
    """The type that things under a definition are wrapped by."""
    if target.core == "nested":
        return target.inner
    if target.core == "type":
        return target.subject  # type: ignore[no-any-return]
    if target.item is not None and isinstance(target.item.subject, Type):
        return target.item.subject
    return None


def _item(item: Value, wrapping: Type | None, by_name: bool, made: Result, deep: int) -> Tree:
    if type(item) is Member:
        if by_name:
            return item.name
        item = item.value
    if type(item) is Wrapped and (wrapping is not None or item.anonymous is None):
        item = item.thing
    if wrapping is not None and isinstance(item, Thing):
        return emit(item, wrapping, made, deep)
    if type(item) is tuple:
        return [_item(held, wrapping, by_name, made, deep) for held in item]
    return made.show(item, deep)


def _computed(thing: Thing, closure: Closure, made: Result) -> Tree:
    """A computed property: what a method gives for the thing, or the message of its error."""
    ctx = made.ctx
    if ctx is None:
        return None
    deep, flags, hidden = ctx.deep, ctx.flags, made.no_ids
    ctx.deep, ctx.flags = ctx.scope.deep, 0
    change, ctx.change = ctx.change, None
    guarded, ctx.guarded = ctx.guarded, True
    try:
        if closure.code.has_effects:
            raise OperationError("a computed property can't have side effects")
        value = closure.call(ctx, thing)
        if type_name(value) == "future":
            raise OperationError("a computed property can't wait for a future")
        made.no_ids = made.no_ids or bool(ctx.flags & 32)
        return made.show(value, ctx.deep)
    except LanguageError as error:
        return error.message
    finally:
        ctx.deep, ctx.flags, ctx.change, made.no_ids = deep, flags, change, hidden
        ctx.guarded = guarded


# --- wrapping and unwrapping -----------------------------------------------------------------------------------------


def wrap_type(ctx: Context, which: Value) -> Type | AnonymousType:
    """The type that an argument of `wrap` means."""
    if type(which) is AnonymousType:
        return which
    if type(which) is not str:
        raise TypeFailed(f"a thing is wrapped by the name of a type or an anonymous type, not {type_name(which)}")
    type_ = ctx.scope.types.get(which)
    if type_ is None:
        raise LookupFailed(f"there is no type {which[:80]}")
    return type_


@method(
    "thing",
    "wrap",
    "type?: any",
    doc="The thing seen through a type, by default its own.",
    example=".song.wrap('Song')",
)
def wrap(ctx: Context, thing: Thing, *which: Value) -> Wrapped:
    if which:
        return Wrapped(thing, wrap_type(ctx, which[0]))
    if type(thing) is Instance:
        return Wrapped(thing, thing.kind)
    raise NumArgumentsError("wrap() takes a type for a thing that has none")


@method(
    "list|tuple|set",
    "map_wrap",
    "type?: any",
    doc="A list of the things, each seen through a type, by default its own.",
    example=".songs.map_wrap('Song')",
)
def map_wrap(ctx: Context, things: Any, *which: Value) -> List:
    type_ = wrap_type(ctx, which[0]) if which else None
    made = List()
    for thing in things:
        if not isinstance(thing, Thing) or (type_ is None and type(thing) is not Instance):
            raise TypeFailed(f"{type_name(thing)} can't be wrapped here")
        made.append(Wrapped(thing, type_ if type_ is not None else thing.kind))
    return made


@method(
    "list|tuple",
    "map_type",
    "type: str",
    doc="A list of instances of a type: from things, or from the ids of stored ones.",
    example="[{title: 'Waltz'}].map_type('Song')",
)
def map_type(ctx: Context, items: Any, name: str) -> List:
    type_ = ctx.scope.types.get(name)
    if type_ is None:
        raise LookupFailed(f"there is no type {name[:80]}")
    type_.check_instantiable()
    made = List()
    for item in items:
        if type(item) is int:
            found = ctx.scope.find(item)  # type: ignore[union-attr]
            if found is None:
                raise LookupFailed(f"there is no thing {item}")
            if type(found) is not Instance or found.kind is not type_:
                raise TypeFailed(f"the thing {item} is no {name}")
            made.append(found)
        elif type(item) is Instance and item.kind is type_:
            made.append(copied(ctx, item, 1, keep=True))
        elif type(item) is Thing:
            made.append(type_.from_thing(ctx, item))
        else:
            raise TypeFailed(f"{type_name(item)} can't become a {name}")
    return made


@method("wrapped", "unwrap", doc="The thing itself.", example=".song.wrap('Song').unwrap()")
def unwrap(ctx: Context, value: Wrapped) -> Thing:
    return value.thing


@method("wrapped", "id", doc="The id of the thing, or nil.", example=".song.wrap('Song').id()")
def id_(ctx: Context, value: Wrapped) -> int | None:
    return value.thing.id or None


@method("wrapped", "copy", "deep?: int", doc="A new plain thing of what a client would see.",
        example=".song.wrap('Song').copy()")  # fmt: skip
def copy(ctx: Context, value: Wrapped, deep: int = 1) -> Thing:
    tree = _show(value, Result(ctx, 32), checked_deep(deep))
    return incoming(tree)  # type: ignore[no-any-return]


@method("wrapped", "dup", "deep?: int", doc="A copy of the thing, wrapped the same way.",
        example=".song.wrap('Song').dup()")  # fmt: skip
def dup(ctx: Context, value: Wrapped, deep: int = 1) -> Wrapped:
    return Wrapped(copied(ctx, value.thing, deep, keep=True), value._type)


def _call(ctx: Context, value: Wrapped, name: str) -> Any:
    type_ = value.type
    closure = None if type_ is None else type_.methods.get(name)
    return None if closure is None else ClosureCall(closure, (value.thing,))


FALLBACKS[Wrapped] = _call


def _copy_wrapped(value: Wrapped, copying: Copying, deep: int) -> Wrapped:
    return Wrapped(copying.thing(value.thing, deep), value._type)


COPIES[Wrapped] = _copy_wrapped


# --- log -------------------------------------------------------------------------------------------------------------


@packs(Wrapped)
def _pack(value: Wrapped, home: Collection, depth: int) -> Tree:
    thing = PACK[type(value.thing)](value.thing, home, depth + 1)
    if value.anonymous is not None:
        return {"(": [value.anonymous, thing]}
    return {"&": [value.type_id, thing]}


@unpacks("&")
def _unpack(replay: Replay, tree: dict[str, Any]) -> Wrapped:
    type_id, thing = tree["&"]
    for type_ in replay.home.types.values():
        if type_.id == type_id:
            return Wrapped(replay.value(thing), type_)
    gone = Type(replay.home, type_id, "", 0)  # it is deleted; its id finds it again when it comes back
    return Wrapped(replay.value(thing), gone)


@unpacks("(")
def _unpack_anonymous(replay: Replay, tree: dict[str, Any]) -> Wrapped:
    type_, thing = tree["("]
    return Wrapped(replay.value(thing), replay.value(type_))
