"""Queries and changes a second: 8 connections, 32 requests in flight on each."""

from __future__ import annotations

from collections.abc import Iterator

from bench.lab import Lab
from bench.pipeline import NUMBER, Rate, pipeline
from bench.table import Row, rates

__all__ = ["rows"]

CONNECTIONS = 8
IN_FLIGHT = 32

CACHED = "1 + 1;"

CODES = {
    "cached queries": CACHED,
    "cached queries over WebSocket": CACHED,
    "uncached queries": f"x = {NUMBER}; x + 1; nil;",
    "uncached queries, 8 statements": (
        f"a = {NUMBER}; b = a % 7; if (b > 3) {{ b = b - 3; }} else {{ b += 1; }}; "
        "c = [a, b, 'text']; d = {name: 'x', at: c.len()}; f = |x| x * b; f(d.at); nil;"
    ),
    "durable changes": ".x = 5;",
}


def rows(lab: Lab) -> Iterator[Row]:
    sizes = lab.sizes
    with lab.targets() as targets:
        for name, code in CODES.items():
            websocket = name.endswith("WebSocket")
            taking = [target for target in targets if target.websocket or target.bare or not websocket]
            made: dict[str, list[Rate]] = {target.name: [] for target in taking}
            for _ in range(sizes.rounds):
                for target in taking:
                    rate = lab.load(pipeline, target, code, CONNECTIONS, IN_FLIGHT, sizes.seconds, websocket)
                    made[target.name].append(rate)
            yield rates(name, "/s", made)
