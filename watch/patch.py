"""The difference of two results as a JSON patch (RFC 6902): the operations `add`, `remove` and `replace`.

Maps have no order. Values that compare equal in Python and differ on the wire (1, 1.0 and true) are different here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["difference"]

Pack = Callable[[Any], bytes]


def difference(old: Any, new: Any, pack: Pack) -> list[dict[str, Any]]:
    """The operations that make `new` of `old`, in order; none when they are the same. `pack` encodes a value so that
    what differs has different bytes."""
    operations: list[dict[str, Any]] = []
    _compare(old, new, "", pack, operations)
    return operations


def _compare(old: Any, new: Any, path: str, pack: Pack, operations: list[dict[str, Any]]) -> None:
    if type(old) is dict and type(new) is dict:
        for key in old:
            if key not in new:
                operations.append({"op": "remove", "path": _join(path, key)})
        for key, value in new.items():
            if key not in old:
                operations.append({"op": "add", "path": _join(path, key), "value": value})
            elif pack(old[key]) != pack(value):
                _compare(old[key], value, _join(path, key), pack, operations)
    elif isinstance(old, list | tuple) and isinstance(new, list | tuple):
        _compare_lists(old, new, path, pack, operations)
    elif pack(old) != pack(new):
        operations.append({"op": "replace", "path": path, "value": new})


def _compare_lists(old: Any, new: Any, path: str, pack: Pack, operations: list[dict[str, Any]]) -> None:
    """Items that stay keep their places relative to one another; a thing is the same item as long as its id is."""
    before, after = [pack(item) for item in old], [pack(item) for item in new]
    first = 0
    while first < len(before) and first < len(after) and before[first] == after[first]:
        first += 1
    last_old, last_new = len(before), len(after)
    while last_old > first and last_new > first and before[last_old - 1] == after[last_new - 1]:
        last_old -= 1
        last_new -= 1
    place: dict[Any, list[int]] = {}
    for index in range(last_old - 1, first - 1, -1):
        place.setdefault(_identity(old[index], before[index]), []).append(index)
    kept: dict[int, int] = {}  # the place in `new` -> that in `old`, both rising
    furthest = first - 1
    for index in range(first, last_new):
        places = place.get(_identity(new[index], after[index]))
        while places and places[-1] <= furthest:
            places.pop()
        if places:
            furthest = kept[index] = places.pop()
    # What has no counterpart, and stands at the same place between the same neighbours, changed where it is.
    if not kept and last_old - first == last_new - first:
        kept = {index: index for index in range(first, last_new)}
    stays = set(kept.values())
    for index in range(last_old - 1, first - 1, -1):
        if index not in stays:
            operations.append({"op": "remove", "path": f"{path}/{index}"})
    for index in range(first, last_new):
        if index not in kept:
            operations.append({"op": "add", "path": f"{path}/{index}", "value": new[index]})
    for index, place_before in kept.items():
        if before[place_before] != after[index]:
            _compare(old[place_before], new[index], f"{path}/{index}", pack, operations)


def _identity(item: Any, packed: bytes) -> Any:
    return item["#"] if type(item) is dict and type(item.get("#")) is int else packed


def _join(path: str, key: str) -> str:
    return f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
