"""What the node counts since it started, or since the counters were reset (spec/admin-and-protocol.md, section 10)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["BOUNDS", "Counters", "Durations"]

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The upper bounds of the classes into which durations are sorted, in seconds."""

_SHORT: Final = BOUNDS[0]


class Durations:
    """How many of what was timed took how long: a histogram over `BOUNDS`.

    What takes no longer than the first bound need not be added: all that was counted and is in no other class is there.
    So who times much asks only `seconds > BOUNDS[0]`.
    """

    __slots__ = ("longer",)

    def __init__(self) -> None:
        self.longer = [0] * len(BOUNDS)  # in each class but the first

    def add(self, seconds: float) -> None:
        """Sort in a duration that is longer than the first bound."""
        self.longer[bisect_left(BOUNDS, seconds) - 1] += 1

    def cumulative(self, count: int) -> Iterator[tuple[float, int]]:
        """Each bound, infinity last, and how many of `count` durations took no longer."""
        reached = count - sum(self.longer)
        for bound, longer in zip((*BOUNDS, float("inf")), (0, *self.longer), strict=True):
            reached += longer
            yield bound, reached


class Counters:
    """Plain attributes, added to where things happen; `tree` is what `counters()` shows."""

    __slots__ = (
        "average_total",
        "change_total",
        "changes_committed",
        "durations",
        "garbage_collected",
        "largest_result",
        "longest_change",
        "longest_query",
        "queries",
        "queries_failed",
        "queries_not_run",
        "queries_without_text",
        "started_at",
        "tasks_failed",
        "tasks_succeeded",
    )  # fmt: skip

    def __init__(self, now: float) -> None:
        self.started_at = int(now)
        self.queries = 0  # queries and runs, those that failed included
        self.queries_failed = 0
        self.queries_without_text = 0  # runs
        self.queries_not_run = 0  # refused, or with text that is no code
        self.average_total = 0.0  # seconds of all queries
        self.durations = Durations()  # of all queries
        self.longest_query = 0.0
        self.changes_committed = 0
        self.change_total = 0.0
        self.longest_change = 0.0
        self.largest_result = 0
        self.tasks_succeeded = 0
        self.tasks_failed = 0
        self.garbage_collected = 0

    def add_query(self, seconds: float, failed: bool) -> None:
        """Count a query or run that took so long."""
        self.queries += 1
        self.average_total += seconds
        if seconds > _SHORT:
            self.durations.add(seconds)
        if seconds > self.longest_query:
            self.longest_query = seconds
        if failed:
            self.queries_failed += 1

    def add_refused(self) -> None:
        """Count a query or run that did not begin, such as one that came before the login."""
        self.queries += 1
        self.queries_failed += 1
        self.queries_not_run += 1

    def add_change(self, seconds: float) -> None:
        """Count how long it took to make a change, or several that belong together."""
        self.change_total += seconds
        if seconds > self.longest_change:
            self.longest_change = seconds

    def tree(self, asked: int, compiled: int, dropped: int) -> dict[str, Any]:
        """The counters under the names that clients know. So many queries ask for them and are not counted yet; so many
        were compiled meanwhile, and so many dropped from the cache; all others that ran were in it."""
        return {
            "queries_success": self.queries - self.queries_failed,
            "queries_with_error": self.queries_failed,
            "tasks_success": self.tasks_succeeded,
            "tasks_with_error": self.tasks_failed,
            "changes_with_gap": 0,
            "changes_skipped": 0,
            "changes_failed": 0,
            "changes_killed": 0,
            "changes_committed": self.changes_committed,
            "changes_unaligned": 0,
            "garbage_collected": self.garbage_collected,
            "quorum_lost": 0,
            "queries_from_cache": max(
                0, self.queries + asked - self.queries_without_text - self.queries_not_run - compiled
            ),
            "wasted_cache": dropped,
            "longest_query_duration": self.longest_query,
            "average_query_duration": self.average_total / self.queries if self.queries else 0.0,
            "longest_change_duration": self.longest_change,
            "average_change_duration": self.change_total / self.changes_committed if self.changes_committed else 0.0,
            "started_at": self.started_at,
            "largest_result_size": self.largest_result,
        }
