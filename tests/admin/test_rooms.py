"""Rooms end with what holds them, whatever that is (spec/admin-and-protocol.md, section 5)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.outcome import Outcome


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        ("//music", ".del('room')"),
        ("//music", ".clear()"),
        ("//music", ".room = nil"),
        ("@t", "del_collection('music')"),
    ],
)
def test_members_are_told_that_a_room_is_gone(outcome: Callable[..., Outcome], scope: str, code: str) -> None:
    outcome("new_collection('music')", scope="@t")
    number = outcome(".room = room(); .room.set_name('hall'); .room.id()", scope="//music").value
    found = outcome(f"{code}; nil", scope=scope)
    assert found.error is None
    assert found.closed_rooms == [("@collection:music", number)]
