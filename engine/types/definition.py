"""The field definition language (spec/types.md, section 2; spec/enums-and-wrap.md, sections 1.7, 2.3 and 3).

A `Definition` checks values, makes defaults, and is compared with others by `loosens`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.errors import TypeFailed, ValueFailed
from engine.functions.registry import FUNCTIONS, KINDS, type_name
from engine.types.enum import Enum, Member
from engine.types.restriction import BASES, Restriction
from engine.values.closure import Closure
from engine.values.error import Error
from engine.values.list import List
from engine.values.regex import Regex
from engine.values.room import Room
from engine.values.set import Set
from engine.values.storing import SCALARS, own
from engine.values.text import byte_length, encoded, is_utf8
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.types.type import Type
    from engine.values.thing import Value

__all__ = ["DEFAULTS", "MISSING", "Definition"]

DEFAULTS: dict[str, Callable[[Collection], Value]] = {
    "regex": lambda home: Regex(".*", ""),
    "closure": lambda home: _default_closure(),
    "error": lambda home: Error(-100, "error:-100"),
    "room": lambda home: Room(),
    "thing": lambda home: Thing({}),
}
"""How to make what a field of a base name holds when it was given nothing, where it is not always the same. Other
pages add theirs (datetime, task, …)."""

_FIXED_DEFAULTS: dict[str, Value] = {
    "str": "", "utf8": "", "raw": "", "bytes": b"", "bool": False, "int": 0, "uint": 0, "pint": 1, "nint": -1,
    "float": 0.0, "number": 0, "email": "", "url": "", "tel": "", "enum": None,
}  # fmt: skip


class _Missing:
    """Stands where a new instance has no value yet."""


MISSING = _Missing()


def _default_closure() -> Closure:
    return Closure.from_source("||nil")


class Definition:
    """What a field accepts.

    `core` says which of the forms it is: `any`, `base`, `list`, `set`, `things` (`thing<X>`), `range`, `constant`
    (`bool<true>`), `form` (`email<…>`), `pattern`, `type`, `enum`, `id` (`#`) or `nested`. The other attributes are
    those of the form. `plain` are the classes of scalars that are accepted as they are, so that most values need no
    other look.
    """

    __slots__ = (
        "base", "core", "default_value", "demanded", "flags", "has_default", "high", "inner", "item", "low", "many",
        "member", "nilable", "pattern", "plain", "source", "subject", "takes", "test",
    )  # fmt: skip

    def __init__(self, core: str, source: str = "") -> None:
        self.core = core
        self.source = source  # as written, flags and ? included
        self.flags = ""
        self.nilable = False
        self.base = ""
        self.item: Restriction | None = None
        self.subject: Any = None  # the type or enum
        self.member: Member | None = None  # the default of an enum's field
        self.low: Any = None
        self.high: Any = None
        self.has_default = False
        self.default_value: Value = None
        self.pattern: Regex | None = None
        self.inner: Type | None = None  # nested definitions
        self.many = False  # nested definitions for a list
        self.demanded: Restriction | None = None  # what `thing<X>` demands of its thing
        self.takes: frozenset[type] = frozenset()  # the classes of a base name, and which values of them
        self.test: Callable[[Any], bool] | None = None
        self.plain: frozenset[type] = frozenset()

    def settle(self) -> Definition:
        """The form is known: work out what makes checks quick."""
        match self.core:
            case "any":
                self.plain = SCALARS  # type: ignore[assignment]
            case "base":
                kind, self.test, _ = BASES[self.base]
                self.takes = KINDS.get(kind, frozenset())
                self.plain = self.takes & SCALARS if self.test is None else frozenset()
            case "constant":
                self.plain = frozenset({bool})
            case "things" if self.item is not None:
                self.demanded = replace(self.item, demanded=True)
        if self.nilable and self.core in ("base", "constant", "range", "form", "pattern"):
            self.plain |= {type(None)}  # where a relation may stand, nil is looked at like every other value
        return self

    @property
    def spec(self) -> Restriction | None:
        """What the items of the list or set in the field must be."""
        return self.item if self.core == "list" or self.core == "set" else None

    @property
    def says_nil(self) -> bool:
        """Is it written with a `?` at the end?"""
        return self.nilable or (self.base == "enum" and self.source.endswith("?"))

    # --- text --------------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The definition as written, types, enums and members by their present names."""
        mark = "?" if self.nilable else ""
        if self.member is not None and self.has_default:
            return f"{self.flags}{self.subject.name}{{{self.member.name}}}{mark}"
        if self.subject is not None:
            return f"{self.flags}{self.subject.name}{mark}"
        if self.item is not None and self.item.subject is not None:
            opening, closing = {"list": "[]", "set": "{}", "things": ("thing<", ">")}[self.core]
            return f"{self.flags}{opening}{self.item.text}{closing}{mark}"
        return self.source

    def subjects(self) -> list[Type | Enum]:
        """The types and enums that it names."""
        found = [self.subject] if self.subject is not None else []
        if self.item is not None and self.item.subject is not None:
            found.append(self.item.subject)
        if self.inner is not None:
            for field in self.inner.fields.values():
                found += field.subjects()
        return found

    def strict_type(self) -> Type | None:
        """The type that an instance can't do without: `T` without `?`."""
        return self.subject if self.core == "type" and not self.nilable else None

    # --- values ------------------------------------------------------------------------------------------------------

    def check(self, value: Value) -> None:
        """TypeError for a wrong kind of value, ValueError for a wrong value of the right kind."""
        if value is None and (self.nilable or self.core == "any" or self.base == "enum"):
            return
        _CHECKS[self.core](self, value)

    def accepts(self, value: Value) -> bool:
        """Is the value accepted?"""
        try:
            self.check(value)
        except (TypeFailed, ValueFailed):
            return False
        return True

    def refuse(self, value: Value) -> None:
        raise TypeFailed(f"{self.text} is wanted, not {type_name(value)}")

    def _check_any(self, value: Value) -> None:
        if type(value) in KINDS.get("future", ()) or type(value) in KINDS.get("module", ()):
            self.refuse(value)

    def _check_base(self, value: Value) -> None:
        if type(value) not in self.takes:
            self.refuse(value)
        if self.test is not None and not self.test(value):
            raise ValueFailed(f"{self.text} is wanted: {BASES[self.base][2]}")

    def _check_list(self, value: Value) -> None:
        if type(value) is not List and type(value) is not tuple:
            self.refuse(value)
        if self.item is not None:
            for item in value:
                self.item.check(item)

    def _check_set(self, value: Value) -> None:
        if type(value) is not Set:
            self.refuse(value)
        if self.item is not None:
            for thing in value.items:
                self.item.check(thing)

    def _check_things(self, value: Value) -> None:
        if type(value) is not Thing:
            self.refuse(value)
        if value.kind is not None and value.kind != self.item:
            raise ValueFailed(f"{self.text} is wanted, not a thing restricted to {value.kind.text}")
        if self.item is not None and value.kind is None:
            for held in value.values():
                self.item.check_property(held)

    def _check_range(self, value: Value) -> None:
        kinds = KINDS["str"] if self.base in ("str", "utf8") else KINDS[self.base]
        if type(value) not in kinds:
            self.refuse(value)
        if self.base == "utf8" and not is_utf8(value):
            raise ValueFailed(f"{self.text} is wanted: valid UTF-8")
        measure = byte_length(value) if type(value) is str else value
        if not self.low <= measure <= self.high:
            raise ValueFailed(f"{self.text} is wanted, the value is outside that range")

    def _check_constant(self, value: Value) -> None:
        if type(value) is not bool:
            self.refuse(value)

    def _check_form(self, value: Value) -> None:
        if type(value) is not str:
            self.refuse(value)
        if not FUNCTIONS[f"is_{self.base}"].run(None, value):
            raise ValueFailed(f"{self.text} is wanted")

    def _check_pattern(self, value: Value) -> None:
        assert self.pattern is not None
        if type(value) is not str:
            self.refuse(value)
        if not self.pattern.matches(encoded(value)):
            raise ValueFailed(f"a text that {self.text} matches is wanted")

    def _check_type(self, value: Value) -> None:
        if type(value) is not Instance or value.kind is not self.subject:
            self.refuse(value)

    def _check_enum(self, value: Value) -> None:
        if type(value) is not Member or value.enum is not self.subject:
            self.refuse(value)

    def put(self, value: Value, thing: Thing, name: str) -> Value:
        """A value that was checked, in the form in which a field holds it. What `thing<X>` holds must have been
        restricted before."""
        return own(value, thing, name, self.item if self.core == "list" or self.core == "set" else None)

    # --- defaults ----------------------------------------------------------------------------------------------------

    def fixed_default(self) -> Value:
        """The default if it is a scalar and always the same, else MISSING."""
        if self.has_default:
            return self.default_value if self.member is None else MISSING
        if self.nilable or self.core == "any" or self.core == "nested":
            return None
        if self.core == "base":
            return _FIXED_DEFAULTS.get(self.base, MISSING)
        return self.default_value if self.core in ("range", "pattern") else MISSING

    def default(self, home: Collection, made: list[int] | None = None) -> Value:
        """A fresh default, not yet in the form of a field; `made` counts the instances that are made together."""
        if self.has_default:
            return self.member if self.member is not None else self.default_value
        if self.nilable:
            return None
        match self.core:
            case "any" | "nested":
                return None
            case "base":
                fixed = _FIXED_DEFAULTS.get(self.base, MISSING)
                return DEFAULTS[self.base](home) if fixed is MISSING else fixed
            case "list":
                return List()
            case "set":
                return Set()
            case "things":
                thing = Thing({})
                thing.kind = self.demanded
                return thing
            case "type":
                return self.subject.new_default(home, made)
            case "enum":
                return self.subject.default()
        return self.default_value


_CHECKS: dict[str, Callable[[Definition, Value], None]] = {
    core: getattr(Definition, f"_check_{core}")
    for core in ("any", "base", "list", "set", "things", "range", "constant", "form", "pattern", "type", "enum")
}
