"""What is measured, a module a subject. Each gives its rows one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.lab import Lab
from bench.rows import compute, deep, deliveries, http, latency, live, logins, memory, queries, resume, startup
from bench.table import Row

__all__ = ["GROUPS"]

GROUPS: dict[str, Callable[[Lab], Iterator[Row]]] = {
    "queries": queries.rows,
    "http": http.rows,
    "deliveries": deliveries.rows,
    "deep": deep.rows,
    "latency": latency.rows,
    "live": live.rows,
    "resume": resume.rows,
    "logins": logins.rows,
    "memory": memory.rows,
    "startup": startup.rows,
    "compute": compute.rows,
}
