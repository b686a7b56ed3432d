"""Time from sending a change to having its event, at the last of so many watchers; one change at a time."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from bench.fanout import fanout
from bench.lab import Lab
from bench.table import Row

__all__ = ["rows"]


def rows(lab: Lab) -> Iterator[Row]:
    sizes = lab.sizes
    with lab.targets() as targets:
        for watchers in (1, sizes.watchers[0]):
            made = lab.load(fanout, targets, watchers, False, (1,), sizes.seconds, sizes.rounds, True)
            cuts = {name: statistics.quantiles(seen, n=100) for name, seen in made.latencies.items()}
            for percent in (50, 99):
                values = {name: cut[percent - 1] * 1e6 for name, cut in cuts.items()}
                ratios = {name: value / values["baseline"] for name, value in values.items() if name != "baseline"}
                name = f"change to event, {watchers} watcher{'s' if watchers > 1 else ''}, p{percent}"
                yield Row(name, "µs", values, ratios)
