"""Things as plain dicts, kept by the events of a watch:

    things = {}
    async for event in db.watch("//stuff", deep=3):
        apply(event, things)
        print(tree(things, 1))

For things as objects with types and handlers there is `livethings.model`.
"""

from __future__ import annotations

from typing import Any

from livethings.events import Change, Delete, Init, Stop, Update

__all__ = ["apply", "tree"]


def apply(event: Change, things: dict[int, dict[str, Any]]) -> None:
    """Bring things, by their ids, to where they are after an event of a watch.

    A thing is a dict of its properties, in which other things stand as `{"#": id}`, and other values as
    docs/protocol.md, "Events", writes them. It is there from its first state to its end: with a deep watch that is
    exactly while it is in reach. What is told by definitions is not followed: a field of a type that gets another name,
    and the other side of a relation, are as they were until the thing's next first state.
    """
    if isinstance(event, Init):
        things[event.id] = {name: value for name, value in event.thing.items() if name != "#"}
    elif isinstance(event, Update):
        thing = things.get(event.id)
        if thing is not None:
            for job in event.jobs:
                for name, argument in job.items():
                    _do(name, argument, thing)
    elif isinstance(event, Delete | Stop):
        things.pop(event.id, None)


def tree(things: dict[int, dict[str, Any]], root: int) -> Any:
    """A thing with what it contains in the place of `{"#": id}`, as far as `things` has it, and with lists for sets.
    What contains itself, and what is not there, stays `{"#": id}`."""
    return _shown({"#": root}, things, set())


def _do(name: str, argument: Any, thing: dict[str, Any]) -> None:
    if name == "set":
        thing.update((key, _named(value)) for key, value in argument.items())
    elif name == "del":
        thing.pop(argument, None)
    elif name == "splice":
        for key, (index, deleted, *items) in argument.items():
            thing[key] = [*thing[key][:index], *map(_named, items), *thing[key][index + deleted :]]
    elif name == "add":
        for key, added in argument.items():
            thing[key] = {"$": [*thing[key]["$"], *map(_named, added)]}
    elif name == "remove":
        for key, ids in argument.items():
            thing[key] = {"$": [one for one in thing[key]["$"] if one["#"] not in ids]}


def _named(value: Any) -> Any:
    """A value in which things stand as `{"#": id}`, as in first states."""
    if isinstance(value, list):
        return [_named(item) for item in value]
    if isinstance(value, dict):
        if "#" in value:
            return {"#": value["#"]}
        return {mark: _named(held) if mark in ("$", "&") else held for mark, held in value.items()}
    return value


def _shown(value: Any, things: dict[int, dict[str, Any]], within: set[int]) -> Any:
    if isinstance(value, list):
        return [_shown(item, things, within) for item in value]
    if isinstance(value, dict):
        if "$" in value:
            return [_shown(item, things, within) for item in value["$"]]
        if "&" in value:
            return _shown(value["&"][1], things, within)
        thing_id = value.get("#")
        if thing_id in things and thing_id not in within:
            within = within | {thing_id}
            return {"#": thing_id} | {name: _shown(held, things, within) for name, held in things[thing_id].items()}
    return value
