"""What all subscriptions share: they begin when first read, survive reconnections, and end with a reason.

A subscription is read by one task, with `async for`. Left early (`break`, an error), the loop ends the subscription,
unless it was entered with `async with`, which then does. Waiting for the next item may be cancelled at any time;
nothing is lost by it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Generic, TypeVar

from livethings.errors import EventsLost

if TYPE_CHECKING:
    from typing import Self

    from livethings.connection import Connection
    from livethings.link import Link

__all__ = ["Queued", "Subscription"]

T = TypeVar("T")


class Subscription(ABC, Generic[T]):
    """Something that goes on until it is closed or ends by itself."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._started: asyncio.Future[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._entered = False
        self._ended = False
        self._error: Exception | None = None

    # --- for those who read ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin, if it has not begun: returns when the server has registered it. Raises what the server answers."""
        if self._started is None:
            self._started = asyncio.get_running_loop().create_future()
            self._started.add_done_callback(lambda started: started.cancelled() or started.exception())
            await self._prepare()
            self._link.add(self)
        # Shielded, since another task may wait for the same.
        await self._link.wait(asyncio.shield(self._started))

    async def close(self) -> None:
        """End it. Further reading ends at once."""
        self._finish(None)

    async def __aenter__(self) -> Self:
        self._entered = True
        try:
            await self.start()
        except BaseException:  # also when cancelled: there is no block whose end would end it
            await self.close()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[T]:
        return self if self._entered else self._until_left()

    async def __anext__(self) -> T:
        if not self._ended:
            await self.start()
        while not self._holds():
            if self._ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            if self._waiter is not None:
                raise RuntimeError("another task reads this subscription")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._take()

    async def _until_left(self) -> AsyncIterator[T]:
        try:
            while True:
                try:
                    item = await self.__anext__()
                except StopAsyncIteration:
                    return
                yield item
        finally:
            await self.close()

    # --- for the link ------------------------------------------------------------------------------------------------

    @abstractmethod
    def attach(self, connection: Connection) -> None:
        """Subscribe on a connection: the first one, or a new one."""

    @abstractmethod
    def detach(self, connection: Connection) -> None:
        """Unsubscribe on a connection, since it is not wanted any more."""

    def finish(self) -> None:
        """End it without a reason to raise."""
        self._finish(None)

    def fail(self, error: Exception) -> None:
        """End it for a reason, which is raised to the reader after what is still there to read."""
        self._finish(error)

    # --- for subscriptions -------------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        """What has to be known before it can begin."""

    @abstractmethod
    def _holds(self) -> bool:
        """There is something to take."""

    @abstractmethod
    def _take(self) -> T: ...

    def _is_started(self) -> None:
        if self._started is not None and not self._started.done():
            self._started.set_result(None)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _finish(self, error: Exception | None) -> None:
        if self._ended:
            return
        self._ended = True
        self._error = error
        if self._started is not None and not self._started.done():
            if error is not None:
                self._started.set_exception(error)
            else:
                self._started.set_result(None)
        self._link.remove(self)
        self._wake()


class Queued(Subscription[T]):
    """A subscription whose events wait in a queue of at most `limit`."""

    def __init__(self, link: Link, limit: int) -> None:
        super().__init__(link)
        self._queue: deque[T] = deque()
        self._limit = limit

    def _holds(self) -> bool:
        return bool(self._queue)

    def _take(self) -> T:
        return self._queue.popleft()

    def _put(self, item: T) -> None:
        if self._ended:
            return
        if len(self._queue) >= self._limit and len(self._queue) >= self._most():
            self._overflow()
            return
        self._queue.append(item)
        self._wake()

    def _most(self) -> int:
        """How many items may wait."""
        return self._limit

    def _overflow(self) -> None:
        self.fail(EventsLost(f"{self._limit} events waited when another came; take them faster, or raise `limit`"))
