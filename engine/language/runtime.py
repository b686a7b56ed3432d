"""What generated code calls: variables, properties, items, slices, calls (spec/language.md, sections 6 to 10)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from engine.errors import (
    LookupFailed,
    OperationError,
    OverflowFailed,
    TypeFailed,
    ValueFailed,
)
from engine.functions.registry import type_name
from engine.language.operators import BINARY
from engine.limits import INT_MAX, INT_MIN, MAX_DEEP
from engine.names import check_key
from engine.quota import check_array, check_items, check_new_property, check_new_thing, check_stored
from engine.snapshot import pack
from engine.values.as_text import as_text
from engine.values.closure import Closure
from engine.values.error import Error
from engine.values.list import List
from engine.values.regex import compiled_regex
from engine.values.set import Set
from engine.values.storing import AS_PROPERTY, OWNED, SCALARS, nested, nested_items, own
from engine.values.text import decoded, encoded, joined
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__ = ["CONSTANTS", "ReturnSignal", "compiled_regex"]

CONSTANTS: dict[str, Value] = {
    "QUERY": 1,
    "CHANGE": 2,
    "GRANT": 4,
    "JOIN": 8,
    "RUN": 16,
    "USER": 27,
    "FULL": 31,
    "DEBUG": 0,
    "INFO": 1,
    "WARNING": 2,
    "ERROR": 3,
    "CRITICAL": 4,
    "NO_IDS": 32,
    "INT_MIN": INT_MIN,
    "INT_MAX": INT_MAX,
    "MATH_E": math.e,
    "MATH_PI": math.pi,
    "WPO": 2,
    "HID": 4,
    "IDX": 8,
}

SERVER_CONSTANTS: dict[str, Value] = {"WATCH": 8, "EVENT": 2}
"""Early names of access masks, in @thingsdb only (spec/watch-framework.md, section 5)."""


class ReturnSignal(BaseException):
    """A `return` inside an argument that a function evaluates later: ends the code around the call."""

    def __init__(self, value: Value) -> None:
        self.value = value


# --- variables -----------------------------------------------------------------------------------------------------


def read(ctx: Context, name: str) -> Value:
    """What a bare name means: the newest variable of that name, else a procedure, a constant or a module."""
    for frame in reversed(ctx.frames):
        if name in frame:
            return frame[name]
    procedure = ctx.scope.procedures.get(name)
    if procedure is not None:
        return procedure.closure
    if name in CONSTANTS:
        return CONSTANTS[name]
    if ctx.scope.kind == "T" and name in SERVER_CONSTANTS:
        return SERVER_CONSTANTS[name]
    module = ctx.engine.modules.get(name)
    if module is not None:
        return module
    raise LookupFailed(f"the name {name} is not defined")


def read_variable(ctx: Context, name: str) -> Value:
    """The newest variable of that name: for the shorthand `{name:}`."""
    for frame in reversed(ctx.frames):
        if name in frame:
            return frame[name]
    raise LookupFailed(f"there is no variable {name}")


def update_variable(ctx: Context, name: str, operator: str, value: Value) -> Value:
    """`name op= value`: changes the newest variable of that name."""
    for frame in reversed(ctx.frames):
        if name in frame:
            old = frame[name]
            if type(old) is Set:
                return update_set(ctx, old, operator, value)
            frame[name] = result = BINARY[operator](old, value)
            return result
    raise LookupFailed(f"there is no variable {name}")


class _Unset:
    """The state of a Python local variable before its variable is first assigned."""


UNSET = _Unset()


def update_value(ctx: Context, old: Value, operator: str, value: Value) -> Value:
    """What `variable op= value` leaves in a variable that holds `old`."""
    return update_set(ctx, old, operator, value) if type(old) is Set else BINARY[operator](old, value)


# --- literals ------------------------------------------------------------------------------------------------------


def int_overflow(source: str) -> NoReturn:
    raise OverflowFailed(f"the number {source[:40]} does not fit into a 64-bit int")


def text_of(ctx: Context, value: Value) -> str:
    """The value in a hole of a template."""
    return value if type(value) is str else as_text(value)


def join_texts(parts: list[str]) -> str:
    return joined("".join(parts))


def make_list(ctx: Context, items: list[Value]) -> List:
    """A new list of values, each as an item of an array."""
    if ctx.scope.quotas:
        check_array(ctx.scope, len(items))
        check_items(ctx.scope, items)
    return nested_items(items)


def make_thing(ctx: Context, props: dict[str, Value]) -> Thing:
    """A new thing with the properties, each in the form in which it is stored."""
    if ctx.scope.quotas:
        check_new_thing(ctx.scope, len(props))
        for value in props.values():
            check_stored(ctx.scope, value)
    thing = Thing(props)
    for name, value in props.items():
        if type(value) in AS_PROPERTY:
            props[name] = own(value, thing, name)
    return thing


def begin_thing(ctx: Context, properties: int) -> bool:
    """A thing with so many properties, yet to be evaluated, is about to be made where there are quotas."""
    check_new_thing(ctx.scope, properties)
    return True


def make_literal(quotas: object, props: dict[str, Value], names: tuple[str, ...], ctx: Context) -> Thing:
    """A new thing with the properties, of which only those of some names can need another form. `quotas`: are there
    any?"""
    if quotas:
        for value in props.values():
            check_stored(ctx.scope, value)
    thing = Thing(props)
    for name in names:
        value = props[name]
        if type(value) in AS_PROPERTY:
            props[name] = own(value, thing, name)
    return thing


def make_anonymous(ctx: Context, definitions: dict[str, Value]) -> Value:
    """`&{ … }`: an anonymous type."""
    from engine.types.anonymous import anonymous_type

    return anonymous_type(ctx, definitions)


def begin_instance(ctx: Context, name: str, lock: bool) -> Any:
    """`Name{…}`: what collects the values of a new instance; `lock` where evaluating them could change the type."""
    type_ = ctx.scope.types.get(name)
    if type_ is None:
        raise LookupFailed(f"there is no type {name}")
    return type_.builder(ctx, lock)


def make_instance(ctx: Context, name: str, names: tuple[str, ...], values: tuple[Value, ...]) -> Value:
    """`Name{…}` where evaluating the values can neither fail nor change anything."""
    type_ = ctx.scope.types.get(name)
    if type_ is None:
        raise LookupFailed(f"there is no type {name}")
    return type_.make(ctx, names, values)


def get_member(ctx: Context, enum: str, name: str) -> Value:
    """`Enum{NAME}`."""
    definition = ctx.scope.enums.get(enum)
    if definition is None:
        raise LookupFailed(f"there is no enum {enum}")
    return definition.member(name)


def get_member_by(ctx: Context, enum: str, closure: Closure) -> Value:
    """`Enum{|| …}`: the closure gives the name."""
    definition = ctx.scope.enums.get(enum)
    if definition is None:
        raise LookupFailed(f"there is no enum {enum}")
    name = closure.call(ctx)
    if type(name) is not str:
        raise TypeFailed(f"the name of a member is a str, not {type_name(name)}")
    return definition.member(name)


# --- properties ----------------------------------------------------------------------------------------------------


def missing(thing: Thing, name: str) -> NoReturn:
    raise LookupFailed(f"{describe(thing)} has no property {name[:80]!r}")


def describe(value: Value) -> str:
    """A value in a message: its type, and its id."""
    text = type_name(value)
    return f"{text}:{value.id}" if isinstance(value, Thing) and value.id else f"a {text}"


def get_property(value: Value, name: str) -> Value:
    """`value.name`."""
    if type(value) is Thing:
        props = value.props
        return props[name] if name in props else missing(value, name)
    if type(value) is Instance:
        type_ = value.kind
        position = type_.positions.get(name)
        if position is not None:
            return value.props[position]
        method = type_.methods.get(name)
        return missing(value, name) if method is None else method
    raise TypeFailed(f"{describe(value)} has no properties")


def as_thing(value: Value) -> Thing:
    """The value as the target of an assignment to a property."""
    if isinstance(value, Thing):
        return value
    raise TypeFailed(f"{describe(value)} has no properties to assign")


def set_property(ctx: Context, thing: Thing, name: str, value: Value) -> Value:
    """`thing.name = value`, the name being a name. Gives the value as stored."""
    thing_id = thing.id
    if thing_id and ctx.guarded:
        ctx.allow(thing)
    if thing.lock:
        raise OperationError(f"{describe(thing)} can't be changed while it is in use")
    if thing.kind is not None:
        return set_checked(ctx, thing, name, value)
    props = thing.props
    if name in props:
        old = props[name]
        if type(old) in OWNED:
            return store(ctx, thing, name, value)
    elif ctx.scope.quotas:
        check_new_property(ctx.scope, len(props))
    tree = value
    if type(value) not in SCALARS:
        if type(value) in AS_PROPERTY:
            if ctx.scope.quotas:
                check_stored(ctx.scope, value, props.get(name))
            value = own(value, thing, name)
        if thing_id:
            tree = pack(value, ctx.scope)  # type: ignore[arg-type]
        else:
            ctx.watch_loose(thing)
    props[name] = value
    if thing_id:
        ctx.change.mutations.append((thing_id, {"set": {name: tree}}))  # type: ignore[union-attr]
    return value


def set_checked(ctx: Context, thing: Thing, name: str, value: Value) -> Value:
    """Set a property of an instance or a restricted thing, which may be set now."""
    if type(thing) is Instance:
        if not thing.id:
            ctx.watch_loose(thing)
        return thing.kind.set_field(ctx, thing, name, value)
    thing.kind.check_property(value)
    if ctx.scope.quotas and not thing.has(name):
        check_new_property(ctx.scope, len(thing.props))
    return store(ctx, thing, name, value)


def store(ctx: Context, thing: Thing, key: str, value: Value) -> Value:
    """Set a property of a plain thing, under any key, to a value that was checked; the value as stored.

    OperationError when it holds a list or set that is in use. What can fail comes before what changes something.
    """
    old = thing.get(key)
    if type(old) in OWNED and old.lock:
        raise OperationError(f"the property {key[:80]} can't be replaced while it is in use")
    if ctx.scope.quotas:
        check_stored(ctx.scope, value, old)
    value = own(value, thing, key)
    tree = value
    if type(value) not in SCALARS:
        if thing.id:
            tree = pack(value, ctx.scope)  # type: ignore[arg-type]
        else:
            ctx.watch_loose(thing)
    ctx.release(old)
    sorted_before = thing.is_sorted
    thing.put(key, value)
    if thing.id:
        ctx.record(thing.id, {"set": {key: tree}})
        if not sorted_before and thing.is_sorted:
            ctx.scope.record_internal(thing.id, {"sorted": True})  # type: ignore[union-attr]
    return value


def set_key(ctx: Context, thing: Thing, key: str, value: Value) -> Value:
    """`thing[key] = value`: any key but the reserved ones."""
    check_key(key)
    ctx.allow(thing)
    if type(thing) is not Thing or thing.has(key):
        return set_property(ctx, thing, key, value)
    if thing.kind is not None:
        thing.kind.check_property(value)
    if ctx.scope.quotas:
        check_new_property(ctx.scope, len(thing.props))
    return store(ctx, thing, key, value)


def update_property(ctx: Context, thing: Thing, name: str, operator: str, value: Value) -> Value:
    """`thing.name op= value`: the property must exist."""
    if not thing.has(name):
        missing(thing, name)
    old = thing.get(name)
    if type(old) is Set:
        return update_set(ctx, old, operator, value)
    result = BINARY[operator](old, value)
    ctx.allow(thing)
    return set_property(ctx, thing, name, result)


def update_set(ctx: Context, target: Set, operator: str, value: Value) -> Set:
    """`set op= value`: changes the set in place."""
    result: Set = BINARY[operator](target, value)
    ctx.allow(target)
    holder = target.holder()
    if holder is not None and type(holder) is Instance:
        return holder.kind.replace_members(ctx, holder, target, result)  # type: ignore[no-any-return]
    if target.spec is not None:
        for thing in result.items:
            target.spec.check(thing)
    if holder is not None and holder.id:
        tree = pack(result, ctx.scope)  # type: ignore[arg-type]
        ctx.record(holder.id, {"set": {target.key: tree}})
    target.items = result.items
    return target


def lock(thing: Thing | List | Set) -> None:
    thing.lock += 1


def unlock(thing: Thing | List | Set) -> None:
    thing.lock -= 1


def begin_assignment(ctx: Context, thing: Thing) -> Thing:
    """Lock a thing while the right side of an assignment to one of its properties is evaluated."""
    thing.lock += 1
    return thing


# --- items and slices ----------------------------------------------------------------------------------------------


def position_in(array: Any, index: Value, length: int) -> int:
    if type(index) is not int:
        raise TypeFailed(f"an index of a {type_name(array)} is an int, not {type_name(index)}")
    if index < 0:
        index += length
    if 0 <= index < length:
        return int(index)
    raise LookupFailed(f"the index is outside the {type_name(array)}, which has {length} items")


def get_item(value: Value, index: Value) -> Value:
    """`value[index]`."""
    kind = type(value)
    if kind is List or kind is tuple:
        return value[position_in(value, index, len(value))]
    if isinstance(value, Thing):
        return get_property_by_key(value, index)
    if kind is str:
        if value.isascii():
            return value[position_in(value, index, len(value))]
        data = encoded(value)
        position = position_in(value, index, len(data))
        return decoded(data[position : position + 1])
    if kind is bytes:
        position = position_in(value, index, len(value))
        return value[position : position + 1]
    raise TypeFailed(f"{describe(value)} has no items")


def get_property_by_key(thing: Thing, key: Value) -> Value:
    if type(key) is not str:
        raise TypeFailed(f"a key of a thing is a str, not {type_name(key)}")
    return get_property(thing, key)


def item_target(ctx: Context, value: Value, index: Value) -> Value:
    """Check the target and the index of `value[index] = …` before the right side is evaluated; gives the index,
    counted from the front."""
    kind = type(value)
    if kind is List:
        return position_in(value, index, len(value))
    if isinstance(value, Thing):
        if type(index) is not str:
            raise TypeFailed(f"a key of a thing is a str, not {type_name(index)}")
        return index
    raise TypeFailed(f"items of {describe(value)} can't be assigned")


def set_item(ctx: Context, value: Value, index: Value, operator: str, item: Value) -> Value:
    """`value[index] op= item`, the index checked by `item_target`."""
    if type(value) is not List:
        return update_property(ctx, value, index, operator, item) if operator else set_key(ctx, value, index, item)
    ctx.allow(value)
    if operator:
        old = value[index]
        item = BINARY[operator](old, item)
    spec = value.restriction()
    if spec is not None:
        spec.check(item)
    if ctx.scope.quotas:
        check_items(ctx.scope, (item,))
    item = nested(item)
    holder = value.holder()
    if holder is not None and holder.id:
        tree = pack(item, ctx.scope, 1)  # type: ignore[arg-type]
        ctx.record(holder.id, {"splice": {value.key: [index, 1, tree]}})
    value[index] = item
    return item


_SLICED = frozenset({List, tuple, str, bytes})


def has_items(value: Value) -> bool:
    """Can it be sliced (else TypeError), and is there anything in it?"""
    if type(value) in _SLICED:
        return len(value) > 0
    raise TypeFailed(f"{describe(value)} can't be sliced")


def slice_part(value: Value) -> Value:
    if value is None or type(value) is int:
        return value
    raise TypeFailed(f"the parts of a slice are ints or nil, not {type_name(value)}")


def slice_bounds(length: int, first: int | None, stop: int | None, step: int | None) -> range:
    """The positions that a slice takes."""
    step = 1 if step is None else step
    if step == 0:
        raise ValueFailed("the step of a slice can't be zero")
    if first is None:
        first = 0 if step > 0 else length - 1
    elif first < 0:
        first = max(first + length, 0)
    else:
        first = min(first, length if step > 0 else length - 1)
    if stop is None:
        stop = length if step > 0 else -1
    elif stop < 0:
        stop = max(stop + length, 0)
    else:
        stop = min(stop, length)
    return range(first, stop, step)


def get_slice(value: Value, first: Value, stop: Value, step: Value) -> Value:
    """`value[first:stop:step]`."""
    if type(value) is str and not value.isascii():
        return decoded(get_slice(encoded(value), first, stop, step))
    bounds = slice_bounds(len(value), first, stop, step)
    if bounds.step == 1:
        part = value[bounds.start : max(bounds.stop, bounds.start)]
    else:
        part = (
            value[bounds.start : None if bounds.stop < 0 else bounds.stop : bounds.step] if len(bounds) else value[:0]
        )
    return List(part) if type(value) in (List, tuple) else part


def slice_target(ctx: Context, value: Value) -> List:
    if type(value) is List:
        return value
    raise TypeFailed(f"slices of {describe(value)} can't be assigned")


def set_slice(ctx: Context, array: List, first: Value, stop: Value, step: Value, operator: str, items: Value) -> None:
    """`array[first:stop] = items`."""
    if operator:
        raise TypeFailed("a slice can only be assigned with =")
    if step is not None and step != 1:
        raise ValueFailed("only a slice with step 1 can be assigned")
    if type(items) not in (List, tuple):
        raise TypeFailed(f"a slice is assigned a list or tuple, not {type_name(items)}")
    ctx.allow(array)
    bounds = slice_bounds(len(array), first, stop, 1)
    count = len(bounds)
    spec = array.restriction()
    if spec is not None:
        for item in items:
            spec.check(item)
    items = list(items)
    ctx.check_growth(array, len(items) - count)
    if ctx.scope.quotas:
        check_items(ctx.scope, items)
    holder = array.holder()
    if holder is not None and holder.id:
        packed = pack(tuple(items), ctx.scope)  # type: ignore[arg-type]
        ctx.record(holder.id, {"splice": {array.key: [bounds.start, count, *packed]}})
    array[bounds.start : bounds.start + count] = items


# --- iteration -----------------------------------------------------------------------------------------------------


def begin_for(value: Value) -> Value:
    """Lock what a `for` loop runs over; TypeError when it can't."""
    kind = type(value)
    if kind is List or kind is Set or isinstance(value, Thing):
        value.lock += 1
    elif kind is not tuple:
        raise TypeFailed(f"a for loop can't run over {describe(value)}")
    return value


def end_for(value: Value) -> None:
    if type(value) is not tuple:
        value.lock -= 1


def iterate(value: Value, count: int) -> Iterable[Value]:
    """What a `for` loop with `count` variables assigns in each round: one value, or a tuple of that many."""
    kind = type(value)
    if kind is List or kind is tuple:
        if count == 1:
            return value  # type: ignore[no-any-return]
        pairs: Iterable[tuple[Value, Value]] = ((item, index) for index, item in enumerate(value))
    elif kind is Set:
        if count == 1:
            return value.items  # type: ignore[no-any-return]
        pairs = ((thing, thing.id or None) for thing in value.items)
    else:
        if count == 1:
            return value.keys()  # type: ignore[no-any-return]
        pairs = value.items()
    if count == 2:
        return pairs
    surplus = (None,) * (count - 2)
    return ((first, second, *surplus) for first, second in pairs)


# --- roots and results ------------------------------------------------------------------------------------------------


def root(ctx: Context) -> Thing:
    """What a chain that begins with a dot starts from."""
    if ctx.root is None:
        raise LookupFailed(f"{ctx.scope.title} has no root: a leading dot only works in a collection")
    return ctx.root


def is_nothing(value: Value) -> bool:
    """Does `..` end the chain at this value?"""
    return value is None or type(value) is Error


def set_result_deep(ctx: Context, deep: Value) -> None:
    """The second part of a `return`."""
    ctx.deep = checked_deep(deep)


def checked_deep(deep: Value) -> int:
    if type(deep) is not int:
        raise TypeFailed(f"deep is an int, not {type_name(deep)}")
    if not 0 <= deep <= MAX_DEEP:
        raise ValueFailed(f"deep is between 0 and {MAX_DEEP}, not {deep}")
    return deep


def set_result_flags(ctx: Context, flags: Value) -> None:
    """The third part of a `return`."""
    if type(flags) is not int:
        raise TypeFailed(f"flags are an int, not {type_name(flags)}")
    ctx.flags = flags
