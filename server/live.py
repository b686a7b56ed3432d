"""When live queries run: after the turn of the loop in which they became due, a few milliseconds at a time, with other
requests in between; those whose last result waits for the disk, once that is on it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from server.outbox import Outbox
from watch import Live

__all__ = ["LiveRounds"]

log = logging.getLogger("livethings.server")

SHARE = 0.01
"""Seconds that live queries may take of a turn."""

AGAIN = 1.0
"""Seconds after which those that are left are run when something went wrong."""


class LiveRounds:
    """Has `live` run what is due."""

    def __init__(self, live: Live, outbox: Outbox, loop: asyncio.AbstractEventLoop) -> None:
        self.live = live
        self._outbox = outbox
        self._loop = loop
        self._timer: asyncio.Handle | None = None
        self._timer_at = 0.0
        self._waiting = False  # for the disk

    @property
    def due(self) -> bool:
        """Whether a result may be another one than what was said of it."""
        return bool(self.live.due)

    def subscribe(self, caller: Any, scope: str, asked: Any) -> dict[str, Any]:
        """`watch.Live.subscribe`."""
        return self.live.subscribe(caller, scope, asked)

    def unsubscribe(self, caller: Any, numbers: Any) -> None:
        """`watch.Live.unsubscribe`."""
        self.live.unsubscribe(caller, numbers)

    def drop(self, connection: Any) -> None:
        """A connection is gone."""
        self.live.drop(connection)

    def changed(self, outcome: Any) -> None:
        """An outcome was published."""
        self.live.changed(outcome)
        if self.live.due:
            self._plan(0.0)

    def _plan(self, delay: float) -> None:
        """Have a round in so many seconds, or earlier."""
        at = self._loop.time() + delay
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_later(delay, self._round) if delay else self._loop.call_soon(self._round)

    def _round(self) -> None:
        self._timer = None
        try:
            delay = self.live.run(SHARE, self._outbox.durable_change)
        except Exception:
            log.exception("live queries could not be run")
            delay = AGAIN  # for the others: the one that failed is due no more
        if delay is not None:
            self._plan(delay)
        if self.live.due and not self._outbox.open and not self._waiting:
            self._waiting = True
            self._outbox.when_said(self._disk)

    def _disk(self) -> None:
        self._waiting = False
        if self.live.due:
            self._plan(0.0)
