"""The time limit of a query, kept by a thread that watches the loop's own.

A query runs on the main thread and can't be stopped from outside, save by a signal handler: Python calls it on the
main thread between two instructions, and what it raises is raised there. So the thread simulates a signal when a
request has run too long, and the handler raises RequestTimeout, but only while the code that it interrupts was
generated from a query. Elsewhere, within the engine, it might cut a mutation in half; then the thread tries again a
few milliseconds later.
"""

from __future__ import annotations

import _thread
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from engine.errors import RequestTimeout

__all__ = ["SIGNAL", "Watchdog"]

SIGNAL = signal.SIGVTALRM
"""The simulated signal. Nobody sends it, and should somebody do so, it finds nothing due."""

RETRY = 0.002


class Watchdog:
    """Stops requests that run longer than `limit` seconds, or `live_limit` while `live()` is true; 0: no limit.

    `executing` gives a number that is odd while a request runs, and never the same for two. `generated` is the file
    name of code that was made from a query. `start` and `stop` belong on the main thread.
    """

    def __init__(
        self,
        executing: Callable[[], int],
        limit: float,
        generated: str,
        live: Callable[[], int] = int,
        live_limit: float = 0.0,
    ) -> None:
        self._executing = executing
        self._limits = (limit, live_limit)
        self._live = live
        self._generated = generated
        self._condemned = -1
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch; takes over the handling of `SIGNAL`."""
        signal.signal(SIGNAL, self._handle)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        signal.signal(SIGNAL, signal.SIG_DFL)

    def _run(self) -> None:
        pause = min(max(min(filter(None, self._limits)) / 8, RETRY), 0.25)
        seen = -1
        since = 0.0
        while not self._stopping.wait(pause):
            now = self._executing()
            if not now & 1:
                continue
            if now != seen:
                seen, since = now, time.monotonic()
            elif (limit := self._limits[bool(self._live())]) and time.monotonic() - since > limit:
                self._condemned = now
                while self._executing() == now and not self._stopping.wait(RETRY):
                    _thread.interrupt_main(SIGNAL)

    def _handle(self, _signal: int, frame: FrameType | None) -> None:
        """On the main thread, between two instructions of `frame`."""
        if frame is not None and frame.f_code.co_filename == self._generated and self._condemned == self._executing():
            self._condemned = -1  # once: what the request does about it must not be interrupted again
            raise RequestTimeout(f"the request ran longer than {self._limits[bool(self._live())]:g} seconds")
