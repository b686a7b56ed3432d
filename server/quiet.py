"""What the server does while nobody asks it anything: it searches for things that nothing can reach any more."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from server.contracts import Engine
from server.core import Core

__all__ = ["search_for_garbage"]

log = logging.getLogger("livethings.server")

QUIET = 1.0
"""Seconds without a request after which the server is taken to be quiet."""

PAUSE = 0.01
"""Seconds between two steps of a search, each of a few milliseconds, in a quiet moment."""

LONGEST = 300.0
"""Seconds after a search after which the next one goes on, a step a second, though the server was never quiet."""


async def search_for_garbage(core: Core, engine: Engine, pausing: Callable[[], bool] = bool) -> None:
    """Search for ever, in quiet moments, and have what was found told and logged; not while `pausing()`, as when
    another thread fills an engine with things that are not yet held together."""
    seen: int | None = None
    rested = time.monotonic()  # when the last search was over
    while True:
        await asyncio.sleep(PAUSE if engine.collecting and engine.executing == seen else QUIET)
        before, seen = seen, engine.executing
        if seen != before and time.monotonic() - rested < LONGEST:
            continue
        if pausing():
            continue
        try:
            outcome = engine.collect_garbage()
        except Exception:
            log.exception("the search for garbage failed")
            return
        if not engine.collecting:
            rested = time.monotonic()
        if outcome is not None:
            core.publish(outcome, None, None)
            log.info("%d unreachable things are gone", len(outcome.deleted or ()))
