"""Reading field definitions (spec/types.md, section 2; spec/enums-and-wrap.md, section 2.3).

definition := wrap-flag* core '?'?
core       := name | '[' item? ']' | '{' item? '}' | 'thing<' item? '>' | name '<' condition '>' | pattern
            | enum '{' member '}' | '#'
item       := name '?'?
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from engine.errors import LookupFailed, OverflowFailed, TypeFailed, ValueFailed
from engine.functions.registry import FUNCTIONS
from engine.limits import INT_MAX
from engine.types.definition import Definition
from engine.types.enum import Enum
from engine.types.restriction import BASES, Restriction
from engine.values.regex import Regex
from engine.values.text import encoded

if TYPE_CHECKING:
    from engine.collection import Collection

__all__ = ["parse_definition"]

FLAGS = "&-+^*?!"
"""Marks in front of a definition that say how a wrapped thing shows the field."""

RANGES = ("str", "utf8", "int", "float")
FORMS = ("email", "url", "tel")

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
        elif not source.endswith("?") and not definition.pattern.matches(b""):
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


def _shown(text: str) -> str:
    return repr(text[:80])


def _int(text: str, source: str) -> int:
    match = re.fullmatch(r"([+-]?)(?:0x([0-9A-Fa-f]+)|0o([0-7]+)|0b([01]+)|([0-9]+))", text)
    if match is None:
        raise ValueFailed(f"{_shown(text)} is no int in the definition {_shown(source)}")
    for digits, base in zip(match.groups()[1:], (16, 8, 2, 10), strict=True):
        if digits is not None:
            number = int(digits, base) if len(digits.lstrip("0")) <= 64 else INT_MAX + 1
            if number > INT_MAX:
                raise OverflowFailed(f"{_shown(text)} does not fit into a 64-bit int")
            return -number if match[1] == "-" else number
    raise AssertionError(text)


def _float(text: str, source: str) -> float:
    if re.fullmatch(r"[+-]?(?:inf|[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)", text) is None:
        raise ValueFailed(f"{_shown(text)} is no float in the definition {_shown(source)}")
    return float(text) + 0.0
