"""Computing inside a query, beside the same work in plain Python."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.client import Client
from bench.lab import Lab
from bench.processes import Target
from bench.table import Row, ratios

__all__ = ["rows"]


class _People:
    """What a thing is to plain Python: an object with attributes."""

    __slots__ = ("age", "name")

    def __init__(self, name: str, age: int) -> None:
        self.name = name
        self.age = age


def python_closure(count: int) -> int:
    """What `closure_code` does."""
    f: Callable[[int, int], int] = lambda n, i: (n * 3 + i) % 1_000_003  # noqa: E731
    n = 0
    for i in range(count):
        n = f(n, i)
    return n


def python_people(people: list[_People]) -> int:
    """What `people_code` does."""
    return len([person.name for person in people if person.age > 30])


def python_build(count: int) -> int:
    """What `build_code` does."""
    return len([{"name": "x", "at": i, "done": False} for i in range(count)])


def closure_code(count: int) -> str:
    return f"f = |n, i| (n * 3 + i) % 1000003; n = 0; for (i in range({count})) {{ n = f(n, i); }}; n;"


PEOPLE_CODE = ".people.filter(|person| person.age > 30).map(|person| person.name).len();"


def build_code(count: int) -> str:
    return f"range({count}).map(|i| {{name: 'x', at: i, done: false}}).len();"


def query_seconds(target: Target, code: str) -> tuple[float, Any]:
    """How long a query takes for its client, and its result."""
    client = Client(target)
    client.query(code)
    began = time.perf_counter()
    result = client.query(code)
    took = time.perf_counter() - began
    client.close()
    return took, result


def prepare(target: Target, people: int) -> None:
    client = Client(target)
    client.query(f".people = range({people}).map(|i| {{name: `name {{i}}`, age: i % 90}}); nil;")
    client.close()


def python_seconds(which: str, count: int) -> tuple[float, Any]:
    """The same work in plain Python, in a process of its own."""
    gc.disable()
    run: Callable[[], Any]
    if which == "people":
        people = [_People(f"name {i}", i % 90) for i in range(count)]
        run = lambda: python_people(people)  # noqa: E731
    elif which == "closure":
        run = lambda: python_closure(count)  # noqa: E731
    else:
        run = lambda: python_build(count)  # noqa: E731
    run()
    began = time.perf_counter()
    result = run()
    return time.perf_counter() - began, result


def rows(lab: Lab) -> Iterator[Row]:
    sizes = lab.sizes
    work = {
        "closure": (f"{sizes.iterations:,} calls of a closure", closure_code(sizes.iterations), sizes.iterations),
        "people": (f"filter and map {sizes.people:,} things", PEOPLE_CODE, sizes.people),
        "build": (f"build {sizes.built:,} things", build_code(sizes.built), sizes.built),
    }
    with lab.targets() as (ours, _, *others):
        for target in (ours, *others):
            lab.load(prepare, target, sizes.people)
        for which, (name, code, count) in work.items():
            seconds: dict[str, list[float]] = {"livethings": [], "baseline": []}
            for _ in range(max(1, sizes.rounds * 2 - 1)):
                took, wanted = lab.load(python_seconds, which, count)
                seconds["baseline"].append(took)
                for target in (ours, *others):
                    took, result = lab.load(query_seconds, target, code)
                    if result != wanted:
                        raise RuntimeError(f"{target.name}: {code} gives {result}, not {wanted}")
                    seconds.setdefault(target.name, []).append(took)
            values = {target: statistics.median(made) * 1e3 for target, made in seconds.items()}
            yield Row(name, "ms", values, ratios(seconds), note="baseline: plain Python")
