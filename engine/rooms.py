"""Rooms as a collection keeps them, and who may join (spec/admin-and-protocol.md, sections 5 and 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.users import User

__all__ = ["room_allowed"]


def room_allowed(user: User | None, room: Any) -> bool:
    """Does the user's whitelist of rooms, if there is one, allow the room?"""
    from engine.values.regex import Regex

    rules = user.whitelists.get("rooms") if user is not None else None
    if rules is None:
        return True
    name = room.name
    return name is not None and any(rule.test(name) if isinstance(rule, Regex) else rule == name for rule in rules)
