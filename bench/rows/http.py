"""Queries a second over HTTP: one request at a time on each of a few connections that are kept open."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgpack

from bench.lab import Lab
from bench.pipeline import Rate, http_requests
from bench.table import Row, rates

__all__ = ["rows"]

CONNECTIONS = 8

QUERY = {"type": "query", "code": "1 + 1;"}
CHANGE = {"type": "query", "code": ".x = 5;"}

REQUESTS = {
    "HTTP queries, JSON": ("application/json", json.dumps(QUERY).encode()),
    "HTTP queries, MessagePack": ("application/msgpack", msgpack.packb(QUERY)),
    "HTTP durable changes, JSON": ("application/json", json.dumps(CHANGE).encode()),
}


def rows(lab: Lab) -> Iterator[Row]:
    sizes = lab.sizes
    with lab.targets() as targets:
        taking = [target for target in targets if target.http or target.bare]
        for name, (media, body) in REQUESTS.items():
            made: dict[str, list[Rate]] = {target.name: [] for target in taking}
            for _ in range(sizes.rounds):
                for target in taking:
                    made[target.name].append(lab.load(http_requests, target, body, media, CONNECTIONS, sizes.seconds))
            yield rates(name, "/s", made, "baseline: echoes the request")
