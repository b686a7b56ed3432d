"""`/metrics` for Prometheus: what the server counts, read when it is asked for.

Nothing is counted for this page alone where requests are served: the numbers are those that the engine, the outbox
and the committer keep anyway. They are totals; no name of a user, collection or thing is among them, so that who reads
them needs no login.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from engine.counters import BOUNDS, Durations
from server.core import Core
from server.http.connection import HttpLimits
from server.http.declaration import Operation, Reply

__all__ = ["Metrics"]

PREFIX = "livethings_"


class Metrics(Collector):
    """One for the server. `core` gives what its connections share, None while it starts; `limits` is what those that
    speak HTTP share."""

    def __init__(self, core: Callable[[], Core | None], limits: HttpLimits) -> None:
        self._core = core
        self._limits = limits
        # A registry of its own, so that there can be several servers in a process.
        self._registry = CollectorRegistry()
        self._http = Histogram(
            f"{PREFIX}http_request_seconds", "HTTP requests, by operation and status, and how long each took.",
            ("operation", "status"), buckets=BOUNDS, registry=self._registry,
        )  # fmt: skip
        self._registry.register(self)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)

    def answered(self, operation: str, status: int, seconds: float) -> None:
        """An HTTP request got its response."""
        self._http.labels(operation, str(status)).observe(seconds)

    def operation(self) -> Operation:
        """The declaration."""
        return Operation(
            "metrics", "GET", ("/metrics",), "Counts for Prometheus", self._page,
            {200: Reply("Metrics, in the text format of Prometheus or, for who accepts it, of OpenMetrics")},
        )  # fmt: skip

    async def _page(self, request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._registry), 200, {"content-type": content_type, "cache-control": "no-store"})

    def describe(self) -> Iterator[Metric]:
        """Nothing: the names need no look at the server when this is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All that the server knows, at this moment."""
        core = self._core()
        if core is None:
            return
        yield from _requests(core)
        yield from _watching(core)
        yield from _connections(core, self._limits)
        yield from _storing(core)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _labelled(family: Any, label: str, values: dict[str, float]) -> Metric:
    for name, value in values.items():
        family.add_metric([name], value)
    metric: Metric = family
    return metric


def _histogram(name: str, text: str, durations: Durations, count: int, total: float) -> Metric:
    buckets = [("+Inf" if bound == float("inf") else repr(bound), n) for bound, n in durations.cumulative(count)]
    return HistogramMetricFamily(PREFIX + name, text, buckets=buckets, sum_value=total)


def _requests(core: Core) -> Iterator[Metric]:
    engine: Any = core.engine
    counters = engine.counters
    queries = CounterMetricFamily(f"{PREFIX}queries", "Queries and runs, by how they ended.", labels=["result"])
    failed = counters.queries_failed
    yield _labelled(queries, "result", {"success": counters.queries - failed, "error": failed})
    yield _histogram(
        "query_seconds", "How long queries and runs took.",
        counters.durations, counters.queries, counters.average_total,
    )  # fmt: skip
    tasks = CounterMetricFamily(f"{PREFIX}tasks", "Tasks that were run, by how they ended.", labels=["result"])
    yield _labelled(tasks, "result", {"success": counters.tasks_succeeded, "error": counters.tasks_failed})
    yield _counter("changes", "Changes that queries made.", counters.changes_committed)
    yield _gauge("futures", "Futures that have not finished.", engine.futures.count)
    yield _gauge("cached_queries", "Queries that are kept compiled.", len(engine.cache))
    yield _gauge("collections", "Collections.", len(engine.collections))
    yield _gauge(
        "things", "Things in memory.", sum(len(collection.index) for collection in engine.collections.values())
    )
    yield _counter("garbage_collected_things", "Unreachable things that were removed.", counters.garbage_collected)


def _watching(core: Core) -> Iterator[Metric]:
    watches, joins = core.hub.subscriptions
    yield _gauge("watches", "Things that are watched, once for each connection.", watches)
    yield _gauge("joins", "Rooms that are joined, once for each connection.", joins)
    taken_up = CounterMetricFamily(
        f"{PREFIX}resumed_watches", "Watches that clients took up again: what was missed was told, or first states.",
        labels=["result"],
    )  # fmt: skip
    yield _labelled(taken_up, "result", {"resumed": core.requests.resumed, "restarted": core.requests.restarted})
    yield _gauge("room_history_bytes", "Bytes of what is kept of rooms with history.", core.hub.history.kept_bytes)
    if core.live is not None:
        live = core.live.live
        yield _gauge("live_queries", "Live queries, once for each subscription.", live.subscriptions)
        yield _gauge("live_queries_shared", "Live queries that run, once for all who share them.", live.shared)
        yield _counter("live_runs", "How often live queries have run.", live.evaluations)
    yield _counter("events", "Updates, deletes and events of rooms, once for each receiver.", core.outbox.delivered)


def _connections(core: Core, limits: HttpLimits) -> Iterator[Metric]:
    kinds = {"tcp": 0, "websocket": 0, "http": len(limits.state.connections), "events": 0}
    for connection in core.connections:
        kinds[connection.kind] += 1
    by_kind = GaugeMetricFamily(f"{PREFIX}connections", "Open connections, by what they speak.", labels=["kind"])
    yield _labelled(by_kind, "kind", {kind: float(count) for kind, count in kinds.items()})
    yield _gauge(
        "sessions", "Connections that have logged in, those of single HTTP requests aside.", len(core.sessions)
    )
    yield _counter("received_bytes", "Bytes that came in over TCP and WebSocket.", core.received)
    yield _counter("sent_bytes", "Bytes that went out over TCP and WebSocket, and in event streams.", core.sent)
    yield _counter("http_received_bytes", "Bytes that came in over HTTP.", limits.received)
    yield _counter("http_sent_bytes", "Bytes that went out over HTTP, event streams aside.", limits.sent)
    yield _gauge(
        "unsent_bytes", "Bytes that wait for slow readers.", sum(connection.unsent for connection in core.connections)
    )
    yield _gauge(
        "slow_readers", "Connections whose events are left out until they have read what waits.",
        sum(connection.lags for connection in core.connections),
    )  # fmt: skip
    authenticator = core.authenticator
    yield _counter("logins_refused", "Logins with a wrong password or token.", authenticator.refused)
    yield _gauge("logins_waiting", "Logins that wait for a check or are braked.", authenticator.waiting)


def _storing(core: Core) -> Iterator[Metric]:
    engine: Any = core.engine
    outbox, committer, host = core.outbox, core.committer, engine.host
    yield _gauge("outbox_frames", "Replies and events that wait for the disk.", outbox.held)
    yield _gauge("outbox_bytes", "Bytes of replies and events that wait for the disk.", outbox.held_bytes)
    yield _gauge("commit_backlog_bytes", "Bytes of changes that are not durable yet.", committer.backlog_bytes)
    yield _histogram(
        "commit_seconds", "How long commits of changes to the disk took.",
        committer.durations, committer.commits, committer.commit_seconds,
    )  # fmt: skip
    yield _gauge("last_change", "Id of the last change that was executed.", engine.last_change)
    yield _gauge("durable_change", "Id of the last change that is durable.", host.durable_change)
    yield _gauge("checkpoint_change", "Id of the change that the last checkpoint contains.", host.stored_change)
    store = core.requests.store
    if store is not None:
        yield _gauge("first_kept_change", "Id of the first change that is kept for clients.", store.first_kept)
        yield _gauge("log_bytes", "Bytes of the changes that are kept for clients.", store.log_bytes)
    yield _gauge("store_bytes", "Size of the store's files.", _size(Path(host.storage_path)))


def _size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    total = 0
    for file in folder.iterdir() if folder.is_dir() else ():
        try:
            total += file.stat().st_size
        except OSError:  # it has gone since
            continue
    return total
