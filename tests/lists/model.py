"""What the methods of lists do, written plainly: each step is a text of the language and a function on a Python list.

The function changes the list that it is given and gives the step's value, or raises the error's class.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from engine.errors import LookupFailed
from engine.values.equality import equal

Items = list[Any]

scalars = (
    st.integers(-3, 3)
    | st.booleans()
    | st.none()
    | st.sampled_from(["a", "b", "ä", ""])
    | st.sampled_from([b"a", b"\xff"])
    | st.sampled_from([0.0, 1.0, 2.5, math.inf])
    | st.sampled_from([2**53, 2**53 + 1, 2.0**53, 2**63 - 1])
)
items = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
lists = st.lists(items, max_size=6)
places = st.integers(-8, 8)
bounds = st.none() | places


@dataclass
class Step:
    """`code` is applied to the list LIST; `variables` go with it."""

    code: str
    variables: dict[str, Any]
    apply: Callable[[Items], Any]

    def __repr__(self) -> str:
        return f"{self.code} with {self.variables}"


def part(length: int, first: int | None, stop: int | None) -> slice:
    """A slice that can be assigned, counted from the front."""

    def clipped(place: int) -> int:
        return min(max(place + length if place < 0 else place, 0), length)

    begin = 0 if first is None else clipped(first)
    return slice(begin, max(begin, length if stop is None else clipped(stop)))


def push(values: Items) -> Step:
    def apply(model: Items) -> int:
        model += values
        return len(model)

    return Step(f"LIST.push({named(values)})", variables(values), apply)


def unshift(values: Items) -> Step:
    def apply(model: Items) -> int:
        model[:0] = values
        return len(model)

    return Step(f"LIST.unshift({named(values)})", variables(values), apply)


def pop() -> Step:
    def apply(model: Items) -> Any:
        if not model:
            raise LookupFailed
        return model.pop()

    return Step("LIST.pop()", {}, apply)


def shift() -> Step:
    def apply(model: Items) -> Any:
        if not model:
            raise LookupFailed
        return model.pop(0)

    return Step("LIST.shift()", {}, apply)


def splice(index: int, count: int, values: Items) -> Step:
    def apply(model: Items) -> Items:
        first, wanted = index, count
        if first < 0:
            first += len(model)
            if first < 0:
                wanted += first
                first = 0
        first = min(first, len(model))
        place = slice(first, first + max(0, min(wanted, len(model) - first)))
        removed = model[place]
        model[place] = values
        return removed

    more = f", {named(values)}" if values else ""
    return Step(f"LIST.splice(i, c{more})", variables(values) | {"i": index, "c": count}, apply)


def extend(values: Items) -> Step:
    def apply(model: Items) -> int:
        model += values
        return len(model)

    return Step("LIST.extend(w)", {"w": values}, apply)


def extend_unique(values: Items) -> Step:
    def apply(model: Items) -> int:
        for value in values:
            if not any(equal(frozen(value), frozen(known)) for known in model):
                model.append(value)
        return len(model)

    return Step("LIST.extend_unique(w)", {"w": values}, apply)


def fill(value: Any) -> Step:
    def apply(model: Items) -> Items:
        model[:] = [value] * len(model)
        return list(model)

    return Step("LIST.fill(w)", {"w": value}, apply)


def clear() -> Step:
    return Step("LIST.clear()", {}, lambda model: model.clear())


def remove(kinds: str, limit: int | None) -> Step:
    """Removes the items whose type is one of those named."""
    names = kinds.split()

    def apply(model: Items) -> Items:
        places = [place for place, item in enumerate(model) if kind(item) in names]
        if limit is not None:
            places = places[:limit] if limit >= 0 else places[limit:]
        removed = [model[place] for place in places]
        model[:] = [item for place, item in enumerate(model) if place not in places]
        return removed

    more = "" if limit is None else ", n"
    return Step(f"LIST.remove(|item| w.has(type(item)){more})", {"w": names, "n": limit}, apply)


def set_item(index: int, value: Any) -> Step:
    def apply(model: Items) -> Any:
        if not -len(model) <= index < len(model):
            raise LookupFailed
        model[index] = value
        return value

    return Step("LIST[i] = w", {"i": index, "w": value}, apply)


def set_slice(first: int | None, stop: int | None, values: Items) -> Step:
    def apply(model: Items) -> None:
        model[part(len(model), first, stop)] = values

    return Step("LIST[i:j] = w", {"i": first, "j": stop, "w": values}, apply)


def named(values: Items) -> str:
    return ", ".join(f"v{place}" for place in range(len(values)))


def variables(values: Items) -> dict[str, Any]:
    return {f"v{place}": value for place, value in enumerate(values)}


def frozen(value: Any) -> Any:
    """A value as an item."""
    return tuple(map(frozen, value)) if isinstance(value, list) else value


def kind(value: Any) -> str:
    """What the function `type()` gives for an item."""
    return {type(None): "nil", list: "tuple"}.get(type(value), type(value).__name__)


some_items = st.lists(items, min_size=1, max_size=3)

steps = st.one_of(
    st.builds(push, some_items),
    st.builds(unshift, some_items),
    st.builds(pop),
    st.builds(shift),
    st.builds(splice, places, places, st.lists(items, max_size=3)),
    st.builds(extend, lists),
    st.builds(extend_unique, lists),
    st.builds(fill, items),
    st.builds(clear),
    st.builds(remove, st.sampled_from(["int", "str tuple", "nil", "int float bool str bytes"]), bounds),
    st.builds(set_item, places, items),
    st.builds(set_slice, bounds, bounds, lists),
)
