"""Deliveries a second: the events of one thing to all who watch it, and of a room to all who joined it."""

from __future__ import annotations

from collections.abc import Iterator

from bench.fanout import ROOM, THING, fanout
from bench.lab import Lab
from bench.table import Row, rates

__all__ = ["rows"]

IN_FLIGHTS = (1, 20)


def rows(lab: Lab) -> Iterator[Row]:
    sizes = lab.sizes
    with lab.targets() as targets:
        with_websocket = [target for target in targets if target.websocket or target.bare]
        for watchers in sizes.watchers:
            for way, taking in (("TCP", targets), ("WebSocket", with_websocket)):
                websocket = way == "WebSocket"
                made = lab.load(fanout, taking, THING, watchers, websocket, IN_FLIGHTS, sizes.seconds, sizes.rounds)
                for in_flight in IN_FLIGHTS:
                    by_target = {name: by_count[in_flight] for name, by_count in made.rates.items()}
                    yield rates(f"deliveries, {watchers} on {way}, {in_flight} in flight", "/s", by_target)
        watchers, in_flight = sizes.watchers[min(1, len(sizes.watchers) - 1)], IN_FLIGHTS[-1]
        made = lab.load(fanout, targets, ROOM, watchers, False, (in_flight,), sizes.seconds, sizes.rounds)
        by_target = {name: by_count[in_flight] for name, by_count in made.rates.items()}
        yield rates(f"room events, {watchers} on TCP, {in_flight} in flight", "/s", by_target)
