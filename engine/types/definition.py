"""The field definition language (spec/types.md, section 2; spec/enums-and-wrap.md, sections 1.7, 2.3 and 3).

    definition := wrap-flag* core '?'?
    core       := name | '[' item? ']' | '{' item? '}' | 'thing<' item? '>' | name '<' condition '>' | pattern
                | enum '{' member '}' | '#'
    item       := name '?'?

`parse_definition` gives a `Definition`, which checks values, makes defaults, and is compared with others by `loosens`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.errors import LookupFailed, OverflowFailed, TypeFailed, ValueFailed
from engine.functions.registry import FUNCTIONS, KINDS, type_name
from engine.limits import INT_MAX
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

__all__ = ["DEFAULTS", "MISSING", "Definition", "parse_definition"]

FLAGS = "&-+^*?!"
"""Marks in front of a definition that say how a wrapped thing shows the field."""

RANGES = ("str", "utf8", "int", "float")
FORMS = ("email", "url", "tel")

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


# --- parsing ---------------------------------------------------------------------------------------------------------

_conditional = re.compile(r"([A-Za-z_][0-9A-Za-z_]*)<(.*)>\Z", re.DOTALL)
_member = re.compile(r"([A-Za-z_][0-9A-Za-z_]*)\{([^{}]*)\}\Z", re.DOTALL)
_pattern = re.compile(r"/(.+)/([A-Za-z]*)(?:<([^<]*)>)?\Z", re.DOTALL)


def parse_definition(source: str, home: Collection | None, *, anonymous: bool = False) -> Definition:
    """The definition that a text means in a collection.

    `anonymous`: the names of types and enums mean nothing. ValueError, TypeError, LookupError and OverflowError as
    spec/types.md, section 2.3, says.
    """
    return _Parser(home, anonymous).parse(source)


class _Parser:
    def __init__(self, home: Collection | None, anonymous: bool) -> None:
        self.home = home
        self.anonymous = anonymous

    def parse(self, source: str) -> Definition:
        if not source:
            raise ValueFailed("a definition can't be empty")
        flags = source[: len(source) - len(source.lstrip(FLAGS))]
        rest = source[len(flags) :]
        if len(set(flags)) < len(flags):
            raise ValueFailed(f"a flag is repeated in the definition {_shown(source)}")
        if "+" in flags and "-" in flags:
            raise ValueFailed(f"the flags + and - exclude each other in the definition {_shown(source)}")
        if not rest:
            raise ValueFailed(f"nothing follows the flags in the definition {_shown(source)}")
        if "#" in rest[:1] or rest == "[#]":
            if source != "#":
                raise TypeFailed("the id is defined by # alone")
            return Definition("id", source)
        definition = self._core(rest, source)
        definition.flags = flags
        definition.source = source
        if "?" in flags and not (definition.says_nil or definition.core == "any"):
            raise TypeFailed(f"the flag ? needs a definition that takes nil, not {_shown(source)}")
        return definition.settle()

    def _core(self, rest: str, source: str) -> Definition:
        nilable = rest.endswith("?") and len(rest) > 1
        core = rest[:-1] if nilable else rest
        definition = self._container(core, source) or self._condition(core, source) or self._name(core, source)
        if nilable:
            definition.nilable = definition.core != "any" and definition.base != "enum"
        return definition

    # --- lists, sets, things ---

    def _container(self, core: str, source: str) -> Definition | None:
        if core.startswith("["):
            if not core.endswith("]"):
                raise ValueFailed(f"the definition {_shown(source)} has no closing ]")
            definition = Definition("list")
            definition.item = self._item(core[1:-1], source)
            return definition
        if core.startswith("{"):
            if not core.endswith("}"):
                raise ValueFailed(f"the definition {_shown(source)} has no closing }}")
            definition = Definition("set")
            definition.item = self._set_item(core[1:-1], source)
            return definition
        if core.startswith("thing<"):
            if not core.endswith(">"):
                raise ValueFailed(f"the definition {_shown(source)} has no closing >")
            item = self._item(core[6:-1], source)
            definition = Definition("things" if item is not None else "base")
            definition.base = "thing"
            definition.item = item
            return definition
        return None

    def _set_item(self, text: str, source: str) -> Restriction | None:
        if text in ("", "any", "thing"):
            return None
        self._check_nesting(text, source)
        type_ = None if self.anonymous or self.home is None else self.home.types.get(text)
        if type_ is None:
            self._check_ascii(text)
            raise TypeFailed(f"a set is of a type, not of {_shown(text)}")
        return Restriction(text, type_)

    @staticmethod
    def _check_nesting(text: str, source: str) -> None:
        if text[0] in "[{/" or "<" in text:
            raise ValueFailed(f"definitions can't be nested: {_shown(source)}")

    def _item(self, text: str, source: str) -> Restriction | None:
        if not text:
            return None
        nilable = text.endswith("?")
        name = text[:-1] if nilable else text
        if not name:
            raise ValueFailed(f"a name is missing in the definition {_shown(source)}")
        self._check_nesting(name, source)
        if name == "any":
            return None
        if name in BASES:
            return Restriction(name, None, nilable or name == "enum")
        return Restriction(name, self._subject(name), nilable)

    # --- conditions ---

    def _condition(self, core: str, source: str) -> Definition | None:
        if core.startswith("/"):
            return self._pattern(core, source)
        match = _conditional.match(core)
        if match is not None:
            name, condition = match[1], match[2]
            if name in RANGES:
                return self._range(name, condition, source)
            if name == "bool":
                return self._bool(condition, source)
            if name in FORMS:
                return self._form(name, condition, source)
            raise ValueFailed(f"{name} takes no condition: {_shown(source)}")
        match = _member.match(core)
        if match is not None and (core[0] not in "[{"):
            return self._enum_member(match[1], match[2])
        return None

    def _pattern(self, core: str, source: str) -> Definition:
        match = _pattern.match(core)
        if match is None or match[2] not in ("", "i"):
            raise ValueFailed(f"a pattern is written /…/ or /…/i, then perhaps <default>: {_shown(source)}")
        definition = Definition("pattern")
        definition.pattern = Regex(match[1], match[2])
        definition.default_value = ""
        if match[3] is not None:
            if not definition.pattern.matches(encoded(match[3])):
                raise ValueFailed(f"the default does not match the pattern: {_shown(source)}")
            definition.default_value = match[3]
            definition.has_default = True
        elif not core_nilable(source) and not definition.pattern.matches(b""):
            raise ValueFailed(f"the pattern does not match the empty text, so it needs a default: {_shown(source)}")
        return definition

    def _range(self, name: str, condition: str, source: str) -> Definition:
        parts = condition.split(":", 2)
        if len(parts) < 2:
            raise ValueFailed(f"a range is written {name}<least:most:default>: {_shown(source)}")
        definition = Definition("range")
        definition.base = name
        read = {"int": _int, "float": _float}.get(name, _int)
        low = read(parts[0], source) if parts[0] else (0.0 if name == "float" else 0)
        longest = math.inf if name == "float" else INT_MAX
        high = read(parts[1], source) if parts[1] else longest
        if name in ("str", "utf8") and low < 0:
            raise ValueFailed(f"a length is not negative: {_shown(source)}")
        if high < low:
            raise ValueFailed(f"the end of the range lies before its beginning: {_shown(source)}")
        definition.low, definition.high = low, high
        if len(parts) == 3:
            text = parts[2]
            if name in ("int", "float"):
                definition.default_value = read(text, source) if text else (0.0 if name == "float" else 0)
            else:
                definition.default_value = text
            definition.has_default = True
            if not definition.accepts(definition.default_value):
                raise ValueFailed(f"the default lies outside the range: {_shown(source)}")
        elif name in ("str", "utf8"):
            if low > 1_000_000:
                raise ValueFailed(f"a text of that length needs a default: {_shown(source)}")
            definition.default_value = "-" * int(low)
        else:
            nearest = low if low > 0 else min(high, 0)
            definition.default_value = float(nearest) if name == "float" else int(nearest)
        return definition

    def _bool(self, condition: str, source: str) -> Definition:
        if condition not in ("true", "false"):
            raise ValueFailed(f"the default of a bool is true or false: {_shown(source)}")
        definition = Definition("constant")
        definition.base = "bool"
        definition.default_value = condition == "true"
        definition.has_default = True
        return definition

    def _form(self, name: str, condition: str, source: str) -> Definition:
        definition = Definition("form")
        definition.base = name
        definition.default_value = condition
        definition.has_default = True
        if not FUNCTIONS[f"is_{name}"].run(None, condition):
            raise ValueFailed(f"the default is no {name}: {_shown(source)}")
        return definition

    def _enum_member(self, name: str, member: str) -> Definition:
        enum = None if self.anonymous or self.home is None else self.home.enums.get(name)
        if enum is None or not member:
            raise TypeFailed(f"there is no enum {_shown(name)} with a default member")
        definition = Definition("enum")
        definition.subject = enum
        definition.member = enum.members.get(member)
        definition.has_default = True
        if definition.member is None:
            raise LookupFailed(f"the enum {name} has no member {_shown(member)}")
        return definition

    # --- names ---

    def _name(self, core: str, source: str) -> Definition:
        if core == "any":
            return Definition("any")
        if core in BASES and core not in ("[]", "{}"):
            definition = Definition("base")
            definition.base = core
            return definition
        subject = self._subject(core)
        definition = Definition("enum" if isinstance(subject, Enum) else "type")
        definition.subject = subject
        return definition

    def _subject(self, name: str) -> Any:
        self._check_ascii(name)
        subject = None
        if not self.anonymous and self.home is not None:
            subject = self.home.types.get(name) or self.home.enums.get(name)
        if subject is None:
            raise TypeFailed(f"there is no type {_shown(name)}")
        return subject

    @staticmethod
    def _check_ascii(name: str) -> None:
        if not name.isascii():
            raise ValueFailed(f"{_shown(name)} can't be the name of a type")


def core_nilable(source: str) -> bool:
    return source.endswith("?")


def _shown(text: str) -> str:
    return repr(text[:80])


def _int(text: str, source: str) -> int:
    match = re.fullmatch(r"([+-]?)(?:0x([0-9A-Fa-f]+)|0o([0-7]+)|0b([01]+)|([0-9]+))", text)
    if match is None:
        raise ValueFailed(f"{_shown(text)} is no int in the definition {_shown(source)}")
    for digits, base in zip(match.groups()[1:], (16, 8, 2, 10), strict=True):
        if digits is not None:
            number = int(digits, base)
            if number > INT_MAX:
                raise OverflowFailed(f"{_shown(text)} does not fit into a 64-bit int")
            return -number if match[1] == "-" else number
    raise AssertionError(text)


def _float(text: str, source: str) -> float:
    if re.fullmatch(r"[+-]?(?:inf|[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)", text) is None:
        raise ValueFailed(f"{_shown(text)} is no float in the definition {_shown(source)}")
    return float(text) + 0.0
