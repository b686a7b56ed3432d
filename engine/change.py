"""A change: what a query did to stored things, as an ordered list of mutations under one id.

A mutation is `(thing id, job)`; the job is the map that watchers of that thing receive, such as
`{"set": {"x": 1}}` (spec/watch.md, section 7), its values packed as trees when the mutation happened
(`engine.snapshot`). Mutations of a collection's definitions go under the id of its root. What watchers have no form
for is an `Internal` job: logged and replayed, never sent.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

__all__ = ["INTERNAL", "Change", "Internal", "Job", "Mutation"]

Job: TypeAlias = dict[str, Any]
Mutation: TypeAlias = tuple[int, Job]


class Internal(dict[str, Any]):
    """A job for the log only."""

    __slots__ = ()


INTERNAL: Final = frozenset(
    {
        "commit", "del_task", "enum_methods", "fill", "follow", "import", "instances", "name_room", "reserve_type",
        "restrict", "sorted", "sweep", "task", "to_thing", "type_flag", "type_id_name",
    }
)  # fmt: skip
"""The names of the jobs of a collection that are `Internal`: what tells them from the others in the log."""


class Change:
    """A change in the making, then made.

    `scope` is the id of the collection it belongs to, 0 for the server's own definitions; `at` is when by the engine's
    clock; `first_id` is the id counter when it began: what got an id by it lies from there on; `packed` is its record
    for the log, once it is made.
    """

    __slots__ = ("at", "first_id", "id", "mutations", "next_id", "packed", "scope")

    def __init__(self, change_id: int, scope: int, first_id: int, at: float) -> None:
        self.id = change_id
        self.scope = scope
        self.first_id = first_id
        self.next_id = first_id
        self.at = at
        self.mutations: list[Mutation] = []
        self.packed = b""
