"""Enums: named, ordered lists of members, each with a name and a value (spec/enums-and-wrap.md, section 1)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from engine.encoding import log_packer
from engine.errors import LookupFailed, MaxQuotaError, NumArgumentsError, OperationError, TypeFailed, ValueFailed
from engine.functions.registry import register_kind, type_name
from engine.limits import MAX_MEMBERS
from engine.names import is_name
from engine.replay import Replay, unpacks
from engine.snapshot import pack, packs
from engine.values.closure import Closure
from engine.values.equality import equal
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.context import Context
    from engine.snapshot import Tree
    from engine.values.thing import Value

__all__ = ["MEMBER_TYPES", "Enum", "Member"]

MEMBER_TYPES = frozenset({int, float, str, bytes, Thing})
"""What the value of a member can be; all members of an enum have one type."""


class Member:
    """A member of an enum: a value of its own, shared by reference. `key` is its number for the state on disk, which
    stays when the order of the members changes."""

    __slots__ = ("enum", "key", "name", "value")

    def __init__(self, enum: Enum, name: str, value: Value, key: int) -> None:
        self.enum = enum
        self.name = name
        self.value = value
        self.key = key

    def __bool__(self) -> bool:
        return bool(self.value)

    @property
    def index(self) -> int:
        """Its place among the members; the default's is 0."""
        return list(self.enum.members).index(self.name)

    def in_use(self, noted: int = 0) -> bool:
        """Does anything but its enum refer to it, and a journal, so many times?"""
        # The dict of the enum, `self` here, a variable of what calls this, and getrefcount's own argument.
        return sys.getrefcount(self) > 4 + noted


register_kind("enum", Member, names=lambda member: member.enum.name)


class Enum:
    """An enum. `members` by name, in order, the default first; `methods` are closures that get the member first;
    `kind` is the one Python class of the members' values, None while there are none; `locked` counts what forbids
    changing it; times in whole seconds since 1970."""

    def __init__(self, enum_id: int, name: str, created_at: int) -> None:
        self.id = enum_id
        self.name = name
        self.created_at = created_at
        self.modified_at: int | None = None
        self.members: dict[str, Member] = {}
        self.methods: dict[str, Closure] = {}
        self.kind: type | None = None
        self.locked = 0
        self.next_key = 0

    # --- members -----------------------------------------------------------------------------------------------------

    def default(self) -> Member:
        """The first member; LookupError when there is none."""
        for member in self.members.values():
            return member
        raise LookupFailed(f"the enum {self.name} has no members")

    def member(self, name: str) -> Member:
        """The member of that name."""
        member = self.members.get(name)
        if member is None:
            raise LookupFailed(f"the enum {self.name} has no member {name[:80]}")
        return member

    def find(self, value: Value) -> Member:
        """The member with that value; LookupError when a value of its type has none, TypeError for others."""
        for member in self.members.values():
            if equal(member.value, value) and type(value) is not Member:
                return member
        kind = type(value)
        fits = {int: (int, float), float: (float, int), str: (str, bytes), bytes: (bytes, str)}.get(
            self.kind or int, (Thing, Instance)
        )
        if kind in fits:
            raise LookupFailed(f"the enum {self.name} has no member with that value")
        raise TypeFailed(f"the enum {self.name} has no members of type {type_name(value)}")

    def check_name(self, name: str) -> None:
        """ValueError unless a new member or method can have the name."""
        if not is_name(name):
            raise ValueFailed(f"{name[:80]!r} can't be the name of a member: it must follow the name rule")
        if name in self.members or name in self.methods:
            raise ValueFailed(f"the enum {self.name} has a member or method {name} already")

    def check_value(self, value: Value, but: Member | None = None) -> None:
        """ValueError when another member has the value, TypeError when it has another type than theirs."""
        for member in self.members.values():
            if member is not but and equal(member.value, value):
                raise ValueFailed(f"the member {member.name} of the enum {self.name} has that value already")
        kind = Thing if isinstance(value, Thing) else type(value)
        if kind not in MEMBER_TYPES:
            raise TypeFailed(f"a member can be int, float, str, bytes or thing, not {type_name(value)}")
        if self.kind is not None and kind is not self.kind:
            raise TypeFailed(f"all members of the enum {self.name} have one type, which is not {type_name(value)}")

    def add(self, name: str, value: Value) -> Member:
        """Append a member whose name and value were checked."""
        if len(self.members) >= MAX_MEMBERS:
            raise MaxQuotaError(f"an enum can have at most {MAX_MEMBERS} members")
        self.kind = Thing if isinstance(value, Thing) else type(value)
        member = self.members[name] = Member(self, name, value, self.next_key)
        self.next_key += 1
        return member

    def swap_first(self, name: str) -> None:
        """Let a member and the default change places."""
        names = list(self.members)
        place = names.index(name)
        names[0], names[place] = names[place], names[0]
        self.members = {each: self.members[each] for each in names}

    def drop(self, name: str) -> Member:
        """Remove a member; the last one takes its place."""
        names = list(self.members)
        place = names.index(name)
        last = names.pop()
        if place < len(names):
            names[place] = last
        gone = self.members[name]
        self.members = {each: self.members[each] for each in names}
        return gone

    def rename(self, name: str, new_name: str) -> None:
        """Give a member or method another name, in its place."""
        if name in self.methods:
            self.methods = {new_name if each == name else each: held for each, held in self.methods.items()}
            return
        self.members[name].name = new_name
        self.members = {member.name: member for member in self.members.values()}

    # --- locking -----------------------------------------------------------------------------------------------------

    def check_unlocked(self) -> None:
        """OperationError while something forbids changing the enum."""
        if self.locked:
            raise OperationError(f"the enum {self.name} can't be changed while it is in use")

    # --- calls -------------------------------------------------------------------------------------------------------

    def as_function(self, ctx: Context, count: int) -> EnumCall:
        """What `Name(…)` calls."""
        if count > 1:
            raise NumArgumentsError(f"{self.name}() takes at most 1 argument, not {count}")
        return EnumCall(self)

    # --- descriptions ------------------------------------------------------------------------------------------------

    def described(self, home: Collection) -> dict[str, Tree]:
        """What watchers of the root are told of it."""
        return {
            "enum_id": self.id,
            "name": self.name,
            "default": next(iter(self.members), None),
            "created_at": self.created_at,
            "modified_at": self.modified_at,
            "members": [[member.name, pack(member.value, home, 1)] for member in self.members.values()],
        }

    def info(self) -> bytes:
        """What `enum_info` shows, packed."""
        members = [
            [member.name, {"#": member.value.id} if isinstance(member.value, Thing) else member.value]
            for member in self.members.values()
        ]
        packed: bytes = log_packer().pack(
            {
                "enum_id": self.id,
                "name": self.name,
                "default": next(iter(self.members), None),
                "created_at": self.created_at,
                "modified_at": self.modified_at,
                "members": members,
                "methods": {
                    name: {
                        "doc": closure.code.doc,
                        "definition": closure.code.pretty,
                        "with_side_effects": closure.code.has_effects,
                        "arguments": list(closure.code.params),
                    }
                    for name, closure in self.methods.items()
                },
            }
        )
        return packed


class EnumCall:
    """A call `Name()` or `Name(value)`."""

    __slots__ = ("enum", "takes")

    def __init__(self, enum: Enum) -> None:
        self.enum = enum
        self.takes = 1

    def check(self, index: int, value: Value) -> Value:
        return value

    def accept(self, index: int, thunk: Any) -> Value:
        return thunk()

    def lock(self, receiver: Value) -> None:
        self.enum.locked += 1

    def unlock(self, receiver: Value) -> None:
        self.enum.locked -= 1

    def run(self, ctx: Context, receiver: Value, *values: Value) -> Member:
        return self.enum.find(values[0]) if values else self.enum.default()


@packs(Member)
def _pack_member(member: Member, home: Collection, depth: int) -> Tree:
    if home.saving:
        return {"%": [member.enum.id, member.key, True]}  # in the state, where the order may change
    return {"%": [member.enum.id, member.index]}


@unpacks("%")
def _unpack_member(replay: Replay, tree: dict[str, Any]) -> Member:
    enum_id, place, *by_key = tree["%"]
    members = replay.home.enum_by_id(enum_id).members.values()
    if by_key:
        return next(member for member in members if member.key == place)  # type: ignore[no-any-return]
    return list(members)[place]  # type: ignore[no-any-return]
