"""The mirror: things of a collection, from one on down, kept as they are on the server.

Events are worked through as they come in, so the mirror is never behind what the client has read; what has to be
loaded first holds back the calls of handlers, never the state. Things are held weakly: what neither the mirrored root
nor the program holds is let go of and watched no more.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from livethings.errors import Closed, EventsLost, LookupFailed
from livethings.events import Change, Init, Update
from livethings.model.enums import Enums
from livethings.model.shapes import Member, Shape
from livethings.model.thing import Thing, ThingMap
from livethings.model.writing import Variables, checked_name
from livethings.watches import Watch

if TYPE_CHECKING:
    from livethings.connection import Connection
    from livethings.database import Database
    from livethings.link import Link

__all__ = ["Mirror"]

log = logging.getLogger("livethings.model")

T = TypeVar("T", bound=Thing)

MAX_WAITING: Final = 100_000
"""Calls of handlers that may wait before the mirror ends with EventsLost."""


class Mirror(Generic[T]):
    """A thing and what its class reaches. As a context, or awaited, it loads them and gives the thing:

        async with db.mirror("//stuff", Music) as music: ...

    It ends when the root is gone, and with the database; the things then stay as they were.
    """

    def __init__(self, database: Database, link: Link, scope: str, cls: type[T], thing_id: int | None) -> None:
        if not (isinstance(cls, type) and issubclass(cls, Thing)):
            raise TypeError(f"a mirror takes a class derived from livethings.model.Thing, not {cls!r}")
        self._database = database
        self._link = link
        self._scope = scope
        self._class = cls
        self._root_id = thing_id
        self._root: T | None = None
        self._feed: _Feed | None = None
        self._enums = Enums()
        self._things: dict[int, dict[type[Thing], weakref.ref[Thing]]] = {}
        self._dropped: deque[int] = deque()  # filled by the collector of garbage, whenever and wherever it runs
        self._new: list[int] = []
        self._lingering: list[Any] = []
        self._loading: set[int] = set()
        self._settled = asyncio.Event()
        self._ended = asyncio.Event()
        self._calls: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._coroutines: deque[Any] = deque()
        self._runner: asyncio.Task[None] | None = None
        self.over = False
        """It has ended."""
        self.error: Exception | None = None
        """Why it has ended, when it has and was not closed."""

    # --- for those who use it ----------------------------------------------------------------------------------------

    async def open(self) -> T:
        """Load the things; the root. Raises LookupFailed when it is not there, and as `Database.query`."""
        if self._feed is not None:
            raise RuntimeError("it is open already")
        classes = _reached(self._class)
        root_id = None
        if self._root_id is None or any(shape.enums() for cls in classes for shape in _shapes(cls)):
            root_id = await self._database.using(retry=True).query(self._scope, ".id()")
        self._feed = _Feed(self, self._link, self._scope)
        if root_id is not None:
            self._feed.kept.add(root_id)
            if root_id != self._root_id and self._root_id is not None:
                self._feed.add([root_id])
                self._loading.add(root_id)
        if self._root_id is None:
            self._root_id = root_id
        assert self._root_id is not None
        root = self.find(self._root_id, self._class)
        assert isinstance(root, self._class)
        self._root = root
        self._feed.add(self._taken())
        try:
            await self._feed.start()
            await self.settled()
            if not root.loaded:
                raise LookupFailed(f"there is no thing {self._root_id} in {self._scope}")
        except BaseException:
            await self.close()
            raise
        return root

    async def settled(self) -> None:
        """Wait until everything in reach is loaded: a thing that a change brings in is there at once, but has no
        properties until its first state has come. Handlers and `Thing.set` wait for that by themselves.

        Raises NoReply after the database's timeout, and why the mirror has ended, if it has.
        """
        await self._link.wait(self._settled.wait())
        if self.error is not None:
            raise self.error

    async def finished(self) -> None:
        """Wait until it has ended: what a program awaits that lives in its handlers. Raises why, if it failed."""
        await self._ended.wait()
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        """Let the things be; they stay as they are."""
        if self._feed is not None:
            await self._feed.close()
        if self._runner is not None:
            self._runner.cancel()

    async def __aenter__(self) -> T:
        return await self.open()

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def __await__(self) -> Generator[Any, None, T]:
        return self.open().__await__()

    # --- for things --------------------------------------------------------------------------------------------------

    def find(self, thing_id: int, cls: type[Thing]) -> Thing:
        """The thing as the class mirrors it; it is loaded when it is new."""
        known = self._things.setdefault(thing_id, {})
        reference = known.get(cls)
        thing = reference() if reference is not None else None
        if thing is None:
            thing = cls(self, thing_id)
            dropped = self._dropped
            known[cls] = weakref.ref(thing, lambda _: dropped.append(thing_id))
            self._loading.add(thing_id)
            self._settled.clear()
            self._new.append(thing_id)
        return thing

    def member(self, enum_id: int, index: int) -> Member | None:
        """The member of an enum; None when it is not known."""
        return self._enums.member(enum_id, index)

    def event(self) -> asyncio.Event:
        """An event to wait for."""
        return asyncio.Event()

    async def write(self, thing: Thing, properties: Mapping[str, Any]) -> None:
        """Set properties; they are set here when it returns. Raises Closed when the mirror has ended."""
        if self.over:
            raise Closed(f"the mirror of {thing!r} has ended, so it would not show what is set")
        fields = type(thing).fields()
        for name in properties:
            if fields and name not in fields and not isinstance(thing, ThingMap):
                what = f"{type(thing).__name__} has no field {name}"
                raise TypeError(f"{what}: annotate it in the class, or write the property with a query")
        if not properties:
            return
        variables = Variables()
        code = f"t = thing({variables.expression(thing.id)}); " if len(properties) > 1 else ""
        target = "t" if code else f"thing({variables.expression(thing.id)})"
        code += "; ".join(
            f"{target}.{checked_name(name)} = {variables.expression(value)}" for name, value in properties.items()
        )
        await self._database.query(self._scope, code + "; nil", **variables)
        await self.settled()

    async def call(self, thing: Thing, method: str, args: Iterable[Any], wrapped: bool) -> Any:
        """Call a method of a thing, or of something in it, on the server, `wrapped` as one that may have side effects;
        those are here when it returns."""
        variables = Variables()
        target = variables.expression(thing.id)
        path = ".".join(map(checked_name, method.split(".")))
        code = f"thing({target}).{path}({', '.join(map(variables.expression, args))})"
        result = await self._database.query(self._scope, f"wse({code})" if wrapped else code, **variables)
        if wrapped:
            await self.settled()
        return result

    # --- events ------------------------------------------------------------------------------------------------------

    def take(self, event: Change) -> None:
        """Work an event through."""
        try:
            if isinstance(event, Init):
                self._init(event)
            elif isinstance(event, Update):
                self._update(event)
            else:
                self._end(event.id)
        except Exception:  # a state that can't be followed is asked for anew; nobody else may suffer
            log.exception("an event of thing %d can't be followed", event.id)
            if self._feed is not None:
                self._feed.renew([event.id])
        self._after()

    def ended(self, error: Exception | None) -> None:
        """There will be no more events."""
        self.over = True
        self.error = error
        self._ended.set()
        for thing_id in list(self._things):
            for thing in self._found(thing_id):
                self._tell(thing, frozenset())
        self._loading.clear()
        self._after()

    def linger(self, value: Any) -> None:
        """Hold what a job takes away until the event is worked through: it may come back in another place."""
        self._lingering.append(value)

    def _after(self) -> None:
        self._lingering.clear()
        self._sweep()
        if self._new and self._feed is not None:
            new = self._taken()
            # One that was let go of a moment ago may still be watched; its first state has come and gone then.
            self._feed.renew([thing_id for thing_id in new if self._feed.watches(thing_id)])
            self._feed.add([thing_id for thing_id in new if not self._feed.watches(thing_id)])
        if self._loading:
            if len(self._calls) > MAX_WAITING and self._feed is not None:
                self._calls.clear()
                self._feed.fail(EventsLost(f"{MAX_WAITING} calls of handlers wait for things to be loaded"))
            return
        self._settled.set()
        while self._calls:
            self._call(*self._calls.popleft())

    def _taken(self) -> list[int]:
        new, self._new = self._new, []
        return new

    def _found(self, thing_id: int) -> list[Thing]:
        return [thing for reference in self._things.get(thing_id, {}).values() if (thing := reference()) is not None]

    def _sweep(self) -> None:
        """Watch no more what nobody holds any more."""
        gone = []
        while self._dropped:
            thing_id = self._dropped.popleft()
            if not self._found(thing_id) and self._things.pop(thing_id, None) is not None:
                self._loading.discard(thing_id)
                if self._feed is not None and thing_id not in self._feed.kept:
                    gone.append(thing_id)
        if gone and self._feed is not None:
            self._feed.discard(gone)

    def _init(self, event: Init) -> None:
        if event.enums is not None:
            self._enums.load(event.enums)
        self._loading.discard(event.id)
        for thing in self._found(event.id):
            known = thing.loaded
            names = thing._load(event.thing)
            if not known:
                self._calls.append((thing.on_load, ()))
            elif names:
                self._changed(thing, names)

    def _update(self, event: Update) -> None:
        things = [thing for thing in self._found(event.id) if thing.loaded]
        root = self._feed is not None and event.id in self._feed.kept
        changed: list[set[str]] = [set() for _ in things]
        for job in event.jobs:
            ((kind, what),) = job.items()
            if root:
                self._enums.apply(kind, what)
                if kind == "mod_type_ren" and self._feed is not None:
                    self._feed.renew(list(self._things))  # instances are not told
            if kind == "event":
                for thing in things:
                    self._emitted(thing, what[0], what[1:])
            else:
                for thing, names in zip(things, changed, strict=True):
                    names.update(thing._apply(kind, what))
        for thing, names in zip(things, changed, strict=True):
            if names:
                self._changed(thing, frozenset(names))

    def _end(self, thing_id: int) -> None:
        self._loading.discard(thing_id)
        for thing in self._found(thing_id):
            if not thing.gone:
                thing.__dict__["_gone"] = True
                self._calls.append((thing.on_gone, ()))
                self._tell(thing, frozenset())
        self._things.pop(thing_id, None)
        if self._root is not None and thing_id == self._root_id and self._feed is not None:
            self._feed.finish()

    # --- handlers ----------------------------------------------------------------------------------------------------

    def _changed(self, thing: Thing, names: frozenset[str]) -> None:
        self._calls.append((thing.on_change, (names,)))
        self._tell(thing, names)

    def _tell(self, thing: Thing, names: frozenset[str]) -> None:
        for listener in list(thing.__dict__["_listeners"].values()):
            self._calls.append((listener, (thing, names)))

    def _emitted(self, thing: Thing, event: str, args: list[Any]) -> None:
        for name in type(thing).__handlers__.get(event, ()):
            self._calls.append((getattr(thing, name), tuple(args)))

    def _call(self, handler: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            result = handler(*args)
        except Exception:
            log.exception("a handler failed")
            return
        if asyncio.iscoroutine(result):
            if len(self._coroutines) >= MAX_WAITING and self._feed is not None:
                result.close()
                self._feed.fail(EventsLost(f"{MAX_WAITING} calls of handlers wait for one that takes long"))
                return
            self._coroutines.append(result)
            if self._runner is None:
                self._runner = asyncio.get_running_loop().create_task(self._run(), name="livethings handlers")

    async def _run(self) -> None:
        """Run what async handlers do, one after the other."""
        try:
            while self._coroutines:
                try:
                    await self._coroutines.popleft()
                except Exception:
                    log.exception("a handler failed")
        finally:
            self._runner = None
            while self._coroutines:  # it was cancelled
                self._coroutines.popleft().close()


class _Feed(Watch):
    """The watch of a mirror: events go there at once."""

    def __init__(self, mirror: Mirror[Any], link: Link, scope: str) -> None:
        super().__init__(link, scope, (), limit=1, lenient=True)
        self._mirror = mirror
        self.kept: set[int] = set()
        """The root of the collection, which is watched for its definitions whatever becomes of it."""

    def _ask(self, connection: Connection, ids: list[int]) -> None:
        super()._ask(connection, self._definitions_first(ids))

    def _definitions_first(self, ids: list[int]) -> list[int]:
        """With the root at the end, whose first state then comes first: it has the enums that the others refer to."""
        return sorted(ids, key=lambda thing_id: thing_id in self.kept)

    def _resume(self, connection: Connection, ids: list[int]) -> None:
        super()._resume(connection, self._definitions_first(ids))

    def _put(self, item: Change) -> None:
        if not self._ended:
            self._mirror.take(item)

    def _finish(self, error: Exception | None) -> None:
        if not self._ended:
            super()._finish(error)
            self._mirror.ended(error)


def _shapes(cls: type[Thing]) -> list[Shape]:
    shapes = list(cls.fields().values())
    if issubclass(cls, ThingMap):
        shapes.append(cls.shape())
    return shapes


def _reached(cls: type[Thing]) -> set[type[Thing]]:
    """The classes of all things that may come in. Raises TypeError for annotations that can't be mirrored."""
    found = {cls}
    waiting = [cls]
    while waiting:
        for shape in _shapes(waiting.pop()):
            new = shape.things() - found
            found |= new
            waiting += new
    return found
